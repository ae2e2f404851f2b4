/** Sizes and durations in words. No line is broken between a number and its unit. */

const NBSP = "\u00a0";

const UNITS = ["bytes", "kB", "MB", "GB", "TB", "PB"];

/** 1234567 -> "1.2 MB". Units are powers of 1000. */
export function formatBytes(bytes) {
  if (bytes === 1) return `1${NBSP}byte`;
  let value = bytes;
  let unit = 0;
  // 999.5 would be shown as "1000": go on to the next unit before that.
  while (value >= (unit === 0 ? 1000 : 999.5) && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : 1;
  return `${value.toFixed(digits).replace(/\.0$/, "")}${NBSP}${UNITS[unit]}`;
}

/** 200 -> "3 min 20 s": the two largest units. */
export function formatDuration(seconds) {
  const whole = Math.max(1, Math.round(seconds));
  if (whole < 60) return `${whole}${NBSP}s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return joined(minutes, "min", whole % 60, "s");
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return joined(hours, "h", minutes % 60, "min");
  return joined(Math.floor(hours / 24), "d", hours % 24, "h");
}

function joined(large, largeUnit, small, smallUnit) {
  const words = small === 0 ? [large, largeUnit] : [large, largeUnit, small, smallUnit];
  return words.join(NBSP);
}
