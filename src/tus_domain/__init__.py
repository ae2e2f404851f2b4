"""The rules of resumable uploads, without a transport and without a storage.

``Uploads`` is the front door: it takes commands, drives the ports and returns uploads. Below it the core is
pure: ``decide`` turns commands into events, ``Append`` takes a body in, and ``Upload`` is what events make of
it.
"""

from tus_domain.access import OPERATOR, Asker
from tus_domain.append import Append
from tus_domain.checksum import ALGORITHMS, Checksum
from tus_domain.commands import AppendBody, BodyEnded, Chunk, Concatenate, CreateUpload, Paused, Sealed
from tus_domain.counting import CountingStorage, can_count
from tus_domain.downloads import Download, Downloads
from tus_domain.effects import Commit, Seal, Write
from tus_domain.joining import ConcatenatingStaging, ConcatenatingStorage, can_concatenate
from tus_domain.policy import Policy
from tus_domain.ports import (
    Announcer,
    Body,
    Clock,
    EventSink,
    Hooks,
    Locks,
    Observer,
    PausingBody,
    Staging,
    Storage,
    Stored,
)
from tus_domain.service import Uploads
from tus_domain.sweeping import Swept
from tus_domain.upload import Phase, Upload
from tus_domain.values import MAX_LENGTH, CompletionPolicy, Concatenation, Extension, Metadata, UploadId

__all__ = [
    "ALGORITHMS",
    "MAX_LENGTH",
    "OPERATOR",
    "Announcer",
    "Append",
    "AppendBody",
    "Asker",
    "Body",
    "BodyEnded",
    "Checksum",
    "Chunk",
    "Clock",
    "Commit",
    "CompletionPolicy",
    "Concatenate",
    "ConcatenatingStaging",
    "ConcatenatingStorage",
    "Concatenation",
    "CountingStorage",
    "CreateUpload",
    "Download",
    "Downloads",
    "EventSink",
    "Extension",
    "Hooks",
    "Locks",
    "Metadata",
    "Observer",
    "Paused",
    "PausingBody",
    "Phase",
    "Policy",
    "Seal",
    "Sealed",
    "Staging",
    "Storage",
    "Stored",
    "Swept",
    "Upload",
    "UploadId",
    "Uploads",
    "Write",
    "can_concatenate",
    "can_count",
]
