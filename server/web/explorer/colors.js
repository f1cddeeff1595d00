// Colors that hold for the color-blind: viridis for quantities, blue above zero and orange below it.

const VIRIDIS = ["440154", "482878", "3e4a89", "31688e", "26828e", "1f9e89", "35b779", "6ece58", "b5de2b", "fde725"];
const BALANCE = ["2166ac", "67a9cf", "d1e5f0", "f7f7f7", "fde0b8", "f1a340", "b35806"];

const parts = (hex) => [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16));

function between(stops, at) {
  const place = Math.min(Math.max(at, 0), 1) * (stops.length - 1);
  const low = Math.min(Math.floor(place), stops.length - 2);
  const a = parts(stops[low]), b = parts(stops[low + 1]);
  return a.map((value, i) => Math.round(value + (b[i] - value) * (place - low)));
}

export function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

// share in [0, 1] -> [r, g, b]. What is large stands out from the paper: bright on dark, dark on light.
export const quantity = (share) => (isDark() ? between(VIRIDIS, 0.12 + 0.88 * share) : between(VIRIDIS, 0.93 * (1 - share)));

// value in [-1, 1] -> [r, g, b]
export const balance = (value) => between(BALANCE, (1 - value) / 2);

// The same for points on paper, where what is near zero must still be seen.
const AROUND = { light: ["2166ac", "67a9cf", "c3c4c2", "f1a340", "b35806"], dark: ["7fc0f5", "4b88b8", "5a6068", "b97a2e", "ffb454"] };
export const around = (value) => between(isDark() ? AROUND.dark : AROUND.light, (1 - value) / 2);

// What is unknown, or not matched.
export const none = () => (isDark() ? [74, 80, 88] : [205, 202, 195]);

export const paper = () => (isDark() ? [27, 31, 37] : [255, 255, 255]);
export const css = ([r, g, b], alpha = 1) => "rgb(" + r + " " + g + " " + b + " / " + alpha + ")";
