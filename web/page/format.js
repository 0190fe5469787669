// Numbers and times as people read them.

const units = ["B", "kB", "MB", "GB", "TB", "PB"];

export function size(bytes) {
  let unit = 0;
  while (bytes >= 1000 && unit < units.length - 1) {
    bytes /= 1000;
    unit++;
  }
  return `${unit === 0 || bytes >= 100 ? Math.round(bytes) : bytes.toFixed(1)} ${units[unit]}`;
}

export function duration(seconds) {
  if (seconds < 0) seconds = 0;
  if (seconds < 10) return `${Math.round(seconds * 10) / 10} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} days`;
}

// age says how long ago a time was. It does not show fractions of a second.
export function age(time, now) {
  const seconds = (now - Date.parse(time)) / 1000;
  return duration(seconds < 10 ? Math.max(0, Math.floor(seconds)) : seconds);
}

const whole = new Intl.NumberFormat("en");

export const count = (n) => whole.format(n);

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hourCycle: "h23" });
const day = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "short", day: "numeric" });

export const timeOfDay = (time) => clock.format(new Date(time));
export const dayOf = (time) => day.format(new Date(time));
