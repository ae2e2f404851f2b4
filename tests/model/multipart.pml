/* The algorithm of architecture/s3.md, for one upload, a few writers, and a store that loses and delays.
 *
 * A unit stands for half a part. A part holds two units, a segment one, and the upload has LENGTH of them. What
 * writer w writes is w, whatever the place: so bytes of different writers can always be told apart.
 *
 * Every request is one step. It lands and is answered; or lands, and its answer is lost; or is not answered and
 * goes astray, to land at any later time, more than once, or never.
 *
 * A process that stops for ever is a path that others go on from, so every writer can die at any step. It takes
 * FAULTS to make answers get lost; how many is what bounds the search.
 *
 * Each MUTANT_… breaks the algorithm in one place, and each WITNESS_… denies that something good can happen.
 * check.py sees that every one of them is found out.
 */

#ifndef LENGTH
#define LENGTH 5
#endif
#ifndef WRITERS
#define WRITERS 2
#endif
#ifndef FAULTS
#define FAULTS 3
#endif
#define PARTS ((LENGTH + 1) / 2)
#define BLOCK 3
#define NUMBERS ((WRITERS * 2 + 1) * BLOCK + 2)
#define RECEIVING 0
#define COMPLETE 1
#define LOST 2
#define ASSEMBLED 99 /* the mark of the object that the multipart upload makes; a whole put has its writer's */

typedef Record {
    byte revision;
    byte stamp;
    byte offset;
    byte count;          /* how many parts count */
    byte number[PARTS];  /* theirs */
    byte segment;        /* the one behind them; 0: none */
    byte next;
    byte owner;          /* of the claim; 0: nobody */
    byte first;
    byte stop;
    byte phase;
    byte mark
}

/* --- the store ---------------------------------------------------------------------------------------------- */

Record record;
byte part[NUMBERS * 2];      /* units by part number; 0: nothing */
byte segment[WRITERS + 2];   /* units by name */
byte object[LENGTH];
byte mark;                   /* the object's; 0: there is no object */
bool open = true;            /* the multipart upload is */
bool assembled;              /* it has been completed */

/* --- what must be true -------------------------------------------------------------------------------------- */

byte acknowledged[LENGTH];   /* what a record was ever seen to count, unit by unit */
byte provisional[WRITERS + 2];
byte completions;
byte faults = FAULTS;        /* how much may still go wrong */

hidden byte i, j, unit_found;
Record nothing;

/* The unit at `at` that the record names. */
inline find_unit(at) {
    if
    :: record.mark != 0 -> unit_found = (mark == record.mark -> object[at] : 0)
    :: else ->
        if
        :: at / 2 < record.count ->
            if
            :: assembled -> unit_found = object[at]
            :: else -> unit_found = part[record.number[at / 2] * 2 + at % 2]
            fi
        :: else -> unit_found = segment[record.segment]
        fi
    fi
}

/* After each step: all that the record counts is there, and is what it always was. */
inline check() {
    j = 0;
    do
    :: j < record.offset && record.phase != LOST && (open || assembled || record.phase == COMPLETE) ->
        find_unit(j);
        assert(unit_found != 0);
        if
        :: acknowledged[j] == 0 -> acknowledged[j] = unit_found
        :: else -> assert(acknowledged[j] == unit_found)
        fi;
        j++
    :: else -> break
    od;
    if
    :: record.phase == COMPLETE ->
        assert(record.offset == LENGTH && mark != 0);
        j = 0;
        do
        :: j < LENGTH -> assert(object[j] == acknowledged[j]); j++
        :: else -> break
        od
    :: else
    fi;
    j = 0
}

/* --- requests: each lands in one step ----------------------------------------------------------------------- */

#define NOTHING 0
#define PUT_PART 1
#define PUT_SEGMENT 2
#define DELETE_SEGMENT 3
#define PUT_WHOLE 4
#define FINISH 5

typedef Request {
    byte kind;
    byte name;
    byte first_unit;
    byte second_unit;
    byte number[PARTS]
}

typedef Swap {
    bool sent;
    byte base;
    Record to
}

/* Those that went astray, one of each sort at a time. */
Request stray;
Swap stray_swap;

inline copy_record(source, target) {
    target.revision = source.revision; target.stamp = source.stamp; target.offset = source.offset;
    target.count = source.count;
    i = 0;
    do
    :: i < PARTS -> target.number[i] = source.number[i]; i++
    :: else -> break
    od;
    target.segment = source.segment; target.next = source.next; target.owner = source.owner;
    target.first = source.first;
    target.stop = source.stop; target.phase = source.phase; target.mark = source.mark
}

inline forget_swap() {
    stray_swap.sent = false; stray_swap.base = 0; copy_record(nothing, stray_swap.to)
}

/* Put `successor`, if the record still has the stamp `expected`. */
inline land_swap(expected, successor, won) {
#ifdef MUTANT_NO_CONDITION
    won = true;
#else
    won = (record.stamp == expected);
#endif
    if
    :: won ->
        assert(successor.revision == record.revision + 1); /* one record follows another */
        assert(successor.offset >= record.offset);
        assert(record.phase != COMPLETE);
        i = record.offset;
        copy_record(successor, record);
        completions = completions + (successor.phase == COMPLETE -> 1 : 0);
        assert(completions <= 1);
#ifdef WITNESS_COMPLETION
        assert(completions == 0);
#endif
#ifndef MUTANT_NO_CONDITION
        if
        :: stray_swap.sent && stray_swap.base != record.stamp -> forget_swap() /* it can do nothing any more */
        :: else
        fi;
#endif
        check()
    :: else
    fi
}

inline land(landing, did) {
    did = true;
    if
    :: landing.kind == PUT_PART ->
        did = open;
        if
        :: open -> part[landing.name * 2] = landing.first_unit; part[landing.name * 2 + 1] = landing.second_unit
        :: else
        fi
    :: landing.kind == PUT_SEGMENT -> segment[landing.name] = landing.first_unit
    :: landing.kind == DELETE_SEGMENT -> segment[landing.name] = 0
    :: landing.kind == PUT_WHOLE ->
#ifndef MUTANT_REPLACE_WHOLE
        did = (mark == 0);
#endif
        if
        :: did ->
            mark = landing.name; i = 0;
            do
            :: i < LENGTH -> object[i] = landing.first_unit; i++
            :: else -> break
            od
        :: else
        fi
    :: landing.kind == FINISH -> /* CompleteMultipartUpload: unconditional */
        did = open;
        if
        :: open ->
            i = 0;
            do
            :: i < PARTS -> /* the store knows the parts by their numbers and ETags */
                did = did && part[landing.number[i] * 2] != 0; i++
            :: else -> break
            od;
            if
            :: did ->
                i = 0;
                do
                :: i < LENGTH -> object[i] = part[landing.number[i / 2] * 2 + i % 2]; i++
                :: else -> break
                od;
                mark = ASSEMBLED; assembled = true; open = false
            :: else
            fi
        :: else
        fi
    fi;
    check()
}

/* --- asking ------------------------------------------------------------------------------------------------- */

#define YES 1
#define NO 2
#define SILENCE 3

inline go_astray(lost) {
    stray.kind = lost.kind; stray.name = lost.name;
    stray.first_unit = lost.first_unit; stray.second_unit = lost.second_unit;
    i = 0;
    do
    :: i < PARTS -> stray.number[i] = lost.number[i]; i++
    :: else -> break
    od;
    i = 0
}

inline forget(request) {
    request.kind = NOTHING; request.name = 0; request.first_unit = 0; request.second_unit = 0;
    i = 0;
    do
    :: i < PARTS -> request.number[i] = 0; i++
    :: else -> break
    od;
    i = 0
}

/* Send `mine`, and set `answer`. */
inline ask() {
    if
    :: d_step { land(mine, done); answer = (done -> YES : NO); forget(mine) }
    :: d_step { faults > 0 -> faults--; land(mine, done); answer = SILENCE; forget(mine) }
    :: d_step { faults > 0 && stray.kind == NOTHING -> faults--; go_astray(mine); answer = SILENCE; forget(mine) }
    :: d_step { faults > 0 -> faults--; answer = SILENCE; forget(mine) }
    fi
}

/* Swap `base` for `to`, and set `answer`. Reading back included; who remains in doubt gives up. */
inline swap() {
    d_step { swaps++; to.stamp = me * 4 + swaps; to.revision = base.revision + 1 }
    if
    :: d_step { land_swap(base.stamp, to, done); answer = (done -> YES : NO) }
    :: d_step { faults > 0 -> faults--; land_swap(base.stamp, to, done); answer = SILENCE }
    :: d_step {
            faults > 0 && !stray_swap.sent ->
            faults--; stray_swap.sent = true; stray_swap.base = base.stamp; copy_record(to, stray_swap.to);
            answer = SILENCE
        }
    :: d_step { faults > 0 -> faults--; answer = SILENCE }
    fi;
    if
    :: d_step { answer == YES || record.stamp == to.stamp -> copy_record(to, base); copy_record(nothing, to) }
    :: d_step { answer == SILENCE && record.stamp != to.stamp -> answer = NO }
    :: answer == NO -> goto dead
    fi;
    if
    :: answer == NO -> goto dead
    :: else -> answer = NOTHING
    fi
}

/* --- whoever finds the record frozen completes it -------------------------------------------------------------- */

inline complete() {
    if
    :: base.phase == RECEIVING && base.offset == LENGTH ->
        if
        :: base.mark == 0 ->
            d_step {
                mine.kind = FINISH; i = 0;
                do
                :: i < PARTS -> mine.number[i] = base.number[i]; i++
                :: else -> break
                od;
                i = 0
            }
            ask();
            if
            :: answer == YES
#ifdef MUTANT_TRUST_NOT_FOUND
            :: answer == NO
#else
            :: answer == NO && mark == ASSEMBLED
            :: answer == NO && mark != ASSEMBLED -> goto dead
#endif
            :: answer == SILENCE -> goto dead
            fi;
            d_step { copy_record(base, to); to.mark = ASSEMBLED }
        :: else -> d_step { copy_record(base, to) }
        fi;
        to.phase = COMPLETE; to.owner = 0;
        swap()
    :: else
    fi
}

/* --- a writer: one request of one client ------------------------------------------------------------------------ */

proctype Writer(byte me; bool is_provisional) {
    Record base, to;
    Request mine;
    byte answer, wanted, at, sent, landed, old, swaps;
    bool done, failed, gap;

    provisional[me] = is_provisional;
    d_step { copy_record(record, base) }
    if
    :: base.phase != RECEIVING -> goto dead
    :: base.phase == RECEIVING && base.offset == LENGTH -> complete(); goto dead
    :: else
    fi;

    /* Claim. */
    d_step {
        copy_record(base, to);
        to.owner = me;
#ifdef MUTANT_REUSE_NUMBERS
        to.first = base.count + 1; to.stop = to.first + BLOCK; to.next = to.first;
#else
#ifdef MUTANT_GIVE_BACK_OF_OTHERS
        to.first = (base.owner == 0 -> base.next : base.first);
#else
        to.first = base.next;
#endif
        to.stop = to.first + BLOCK; to.next = to.stop
#endif
    }
    swap();

    /* How much of the body comes before it ends: to the end of the upload, or less. */
    select (wanted : 1 .. LENGTH);
    if
    :: wanted > LENGTH - base.offset -> goto discard
    :: else
    fi;
    old = base.segment;
    at = base.count * 2; /* the boundary: a pending segment comes first again */
    wanted = wanted + base.offset;

#if LENGTH <= 2
    /* All of a small upload. */
    mine.kind = PUT_WHOLE; mine.name = me; mine.first_unit = me;
    ask();
    if
    :: answer == YES || mark == me ->
        d_step {
            copy_record(base, to); to.offset = LENGTH; to.owner = 0; to.mark = me; to.phase = COMPLETE
        }
        swap();
        goto dead
    :: answer == SILENCE && mark != me -> goto discard
    :: answer == NO && mark != me -> skip /* something else is there: assemble over it */
    fi;
#endif

    /* Parts. What fails does not stop the next one, which is on its way already. */
    do
    :: wanted - at >= 2 || (wanted == LENGTH && at < wanted) ->
        d_step {
            mine.kind = PUT_PART; mine.name = base.first + sent;
            mine.first_unit = (at < base.offset -> segment[old] : me);
            mine.second_unit = (at + 1 < wanted -> me : 0);
            failed = failed || mine.first_unit == 0 /* somebody else did not need it any more */
        }
        if
        :: mine.first_unit != 0 -> ask()
        :: else -> answer = NO
        fi;
        d_step {
            sent++; at = (at + 2 > wanted -> wanted : at + 2);
            if
#ifdef MUTANT_COUNT_OVER_GAP
            :: answer == YES -> landed++
#else
            :: answer == YES && !gap -> landed++
            :: answer == YES && gap
#endif
            :: answer != YES -> gap = true; failed = true
            fi
        }
    :: else -> break
    od;

#ifdef MUTANT_COMPLETE_FIRST
    if
    :: !failed && wanted == LENGTH ->
        d_step {
            mine.kind = FINISH; i = 0;
            do
            :: i < base.count -> mine.number[i] = base.number[i]; i++
            :: i >= base.count && i < PARTS -> mine.number[i] = base.first + i - base.count; i++
            :: i >= PARTS -> break
            od;
            i = 0
        }
        ask()
    :: else
    fi;
#endif

    /* The rest, as a segment. */
    skip;
    d_step {
        copy_record(base, to);
        to.owner = 0; to.next = base.first + sent
    }
#ifdef MUTANT_REUSE_NUMBERS
    to.next = base.next;
#endif
    if
    :: !failed && at < wanted ->
#ifdef MUTANT_ONE_SEGMENT_NAME
        mine.name = WRITERS + 1;
#else
        mine.name = me;
#endif
        mine.kind = PUT_SEGMENT; mine.first_unit = me; to.segment = mine.name;
        ask();
        if
        :: answer == YES -> at = wanted
        :: else -> failed = true
        fi
    :: else
    fi;

    /* A promised checksum that does not match, or cannot be looked at: all is rolled back. */
    if
    :: is_provisional && (failed || true) -> goto discard
    :: !is_provisional || !failed
    fi;

    /* Commit: what landed without a gap. */
    d_step {
        if
        :: landed > 0 ->
            i = 0;
            do
            :: i < landed -> to.number[base.count + i] = base.first + i; i++
            :: else -> break
            od;
            to.count = base.count + landed;
            to.offset = (to.count * 2 > LENGTH -> LENGTH : to.count * 2);
            if
            :: !failed && wanted > to.offset -> to.offset = wanted
            :: else -> to.segment = 0
            fi
        :: landed == 0 && !failed -> to.offset = wanted
        :: landed == 0 && failed -> to.segment = base.segment
        fi
    }
#ifdef MUTANT_DELETE_FIRST
    if
    :: old != 0 && to.segment != old -> mine.kind = DELETE_SEGMENT; mine.name = old; ask()
    :: else
    fi;
#endif
    swap();
    if
    :: old != 0 && base.segment != old -> mine.kind = DELETE_SEGMENT; mine.name = old; ask()
    :: else
    fi;
    complete();
    goto dead;

discard:
    skip;
    /* Close the claim without adopting anything. */
    d_step {
        copy_record(base, to);
        to.owner = 0; to.next = base.first + sent
    }
    swap();
dead:
    skip;
    /* What the dead knew is not to make states different. */
    d_step {
        copy_record(nothing, base); copy_record(nothing, to); forget(mine);
        answer = 0; wanted = 0; at = 0; sent = 0; landed = 0; old = 0; swaps = 0;
        done = false; failed = false; gap = false
    }
}

/* --- HEAD: adopts what a writer has left ------------------------------------------------------------------------ */

/* A full part, of a claim that may be adopted, which does not bring the upload to its length. */
#ifdef MUTANT_ADOPT_PROVISIONAL
#define ALLOWED true
#else
#define ALLOWED !provisional[base.owner]
#endif
#define FULL(at) (part[(at) * 2] != 0 && part[(at) * 2 + 1] != 0)
#define ADOPTABLE(at, count) (ALLOWED && at < base.stop && FULL(at) && (count) * 2 < LENGTH)

proctype Head(byte me) {
    Record base, to;
    Request mine;
    byte answer, landed, swaps;
    bool done;

    d_step { copy_record(record, base) }
    if
    :: base.phase != RECEIVING -> goto dead
    :: base.owner == 0 -> complete(); goto dead
    :: else
    fi;
    d_step { /* ListParts */
        do
        :: open && ADOPTABLE(base.first + landed, base.count + landed + 1) -> landed++
        :: else -> break
        od;
        i = 0
    }
    d_step {
        copy_record(base, to);
        to.owner = 0;
        if
        :: landed > 0 ->
#ifdef WITNESS_ADOPTION
            assert(false);
#endif
            assert(!provisional[base.owner]); /* its bytes count as a whole or not at all */
            i = 0;
            do
            :: i < landed -> to.number[base.count + i] = base.first + i; i++
            :: else -> break
            od;
            to.count = base.count + landed; to.offset = to.count * 2; to.segment = 0
        :: else
        fi
    }
    swap();
    complete();
dead:
    skip;
    d_step {
        copy_record(nothing, base); copy_record(nothing, to); forget(mine);
        answer = 0; landed = 0; swaps = 0; done = false
    }
}

/* --- the world ------------------------------------------------------------------------------------------------ */

/* What went astray lands, some time, and perhaps again. */
active proctype Network() {
    bool done;
end:
    do
    :: d_step { stray.kind != NOTHING -> land(stray, done); done = false }
    :: d_step { stray.kind != NOTHING -> land(stray, done); done = false; forget(stray) }
    :: d_step { stray_swap.sent -> land_swap(stray_swap.base, stray_swap.to, done); done = false;
#ifdef MUTANT_NO_CONDITION
                forget_swap()
#endif
       }
    od
}

#ifdef LIFECYCLE
/* A rule of the bucket aborts the multipart upload. */
active proctype Lifecycle() {
end:
    d_step { open -> open = false }
}
#endif

init {
    atomic {
        record.next = 1; record.revision = 1; record.stamp = 1;
        run Writer(1, false);
#ifdef PROVISIONAL
        run Writer(2, true);
#else
        run Writer(2, false);
#endif
#if WRITERS > 2
        run Writer(3, false);
#endif
#ifdef HEADS
        run Head(WRITERS + 1);
#endif
    }
}
