// What makes the parts that a file lacks, as commands to paste.

const COMMANDS = {
  archetypes: ["The file does not say which points its atoms are made of.", "rasae fuse CHECKPOINT -o MODEL"],
  relaxation: ["The file does not say how far atoms are from their mixtures.", "rasae fuse CHECKPOINT -o MODEL"],
  statistics: ["The file has no statistics of its latents on data.",
    "rasae eval MODEL DATA --labels LABELS --save MODEL"],
  training: ["The file does not have the course of its training; checkpoints of `rasae train` do, unless --no-state left it out.",
    "rasae train DATA -o CHECKPOINT\nrasae fuse CHECKPOINT -o MODEL"],
  layout: ["The file has no map of its atoms.", "rasae layout MODEL -o MODEL"],
  trace: ["The atoms are not traced to rows of data.", "rasae trace MODEL DATA --labels LABELS -o MODEL"],
  agreement: ["Other training runs were not compared with this one.", "rasae eval MODEL DATA --runs RUN1,RUN2 --save MODEL"],
  cofiring: ["The file does not say which latents are active together.",
    "rasae eval MODEL DATA --labels LABELS --save MODEL"],
  quantiles: ["The file has no examples by quantile.", "rasae eval MODEL DATA --labels LABELS --save MODEL"],
  contrast: ["The file has no contrast: what its latents do on one set of data against another.", "rasae contrast MODEL A -- B -o MODEL"],
  labels: ["Neither atoms nor points have labels.", "rasae eval MODEL DATA --labels LABELS --save MODEL"],
  encoder: ["The dictionary has no encoder, so nothing can be encoded.", "rasae fuse CHECKPOINT -o MODEL"],
  points: ["The file does not hold the vectors of its points.", "rasae fuse CHECKPOINT -o MODEL"],
};

import { copyable, el, inline } from "./dom.js";

export function missing(what) {
  const [why, command] = COMMANDS[what];
  return el("div", { class: "missing" }, el("p", {}, inline(why + " This makes it:")), copyable(command, "the command"));
}
