// The singular values of a matrix, from the eigenvalues of its smaller Gram matrix: reduced to three diagonals by
// Householder's reflections, then by shifted QR steps (Golub and Van Loan, sections 8.3.1 and 8.3.3).

// values: rows x width, by rows; at most a thousand or two on the smaller side, since the work grows with its cube.
export function singularValues(values, rows, width) {
  const n = Math.min(rows, width), gram = Array.from({ length: n }, () => new Float64Array(n));
  if (width <= rows) {
    for (let r = 0; r < rows; r++) {
      const row = values.subarray(r * width, (r + 1) * width);
      for (let i = 0; i < n; i++) {
        const to = gram[i], factor = row[i];
        if (factor) for (let j = 0; j <= i; j++) to[j] += factor * row[j];
      }
    }
  } else {
    for (let i = 0; i < n; i++)
      for (let j = 0; j <= i; j++) {
        let sum = 0;
        for (let k = 0; k < width; k++) sum += values[i * width + k] * values[j * width + k];
        gram[i][j] = sum;
      }
  }
  for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) gram[j][i] = gram[i][j];
  return eigenvalues(gram).map((value) => Math.sqrt(Math.max(value, 0))).sort((a, b) => b - a);
}

// Of a symmetric matrix, which is overwritten.
export function eigenvalues(a) {
  const n = a.length, diagonal = new Float64Array(n), beside = new Float64Array(n);
  for (let k = 0; k + 2 < n; k++) {
    let norm = 0;
    for (let i = k + 1; i < n; i++) norm += a[k][i] * a[k][i];
    norm = Math.sqrt(norm);
    if (!norm) continue;
    const alpha = a[k][k + 1] > 0 ? -norm : norm, v = new Float64Array(n), p = new Float64Array(n);
    for (let i = k + 1; i < n; i++) v[i] = a[k][i];
    v[k + 1] -= alpha;
    let square = 0;
    for (let i = k + 1; i < n; i++) square += v[i] * v[i];
    if (!square) continue;
    let along = 0;
    for (let i = k + 1; i < n; i++) {
      let sum = 0;
      const row = a[i];
      for (let j = k + 1; j < n; j++) sum += row[j] * v[j];
      p[i] = 2 * sum / square;
      along += p[i] * v[i];
    }
    for (let i = k + 1; i < n; i++) p[i] -= along / square * v[i];
    for (let i = k + 1; i < n; i++) {
      const row = a[i], vi = v[i], pi = p[i];
      for (let j = k + 1; j < n; j++) row[j] -= vi * p[j] + pi * v[j];
    }
    a[k].fill(0, k + 1);
    a[k][k + 1] = alpha;
  }
  for (let i = 0; i < n; i++) {
    diagonal[i] = a[i][i];
    beside[i] = i + 1 < n ? a[i][i + 1] : 0;
  }
  return steps(diagonal, beside);
}

// Implicit QR steps with Wilkinson's shift until nothing is left beside the diagonal.
function steps(d, e) {
  let last = d.length - 1, turns = 0;
  const small = (i) => Math.abs(e[i]) <= 1e-15 * (Math.abs(d[i]) + Math.abs(d[i + 1]));
  while (last > 0 && turns++ < 60 * d.length) {
    if (small(last - 1)) { e[last - 1] = 0; last--; continue; }
    let first = last - 1;
    while (first > 0 && !small(first - 1)) first--;
    const half = (d[last - 1] - d[last]) / 2, b = e[last - 1];
    const shift = d[last] - b * b / (half + (half < 0 ? -1 : 1) * Math.hypot(half, b));
    let x = d[first] - shift, z = e[first];
    for (let k = first; k < last; k++) {
      const size = Math.hypot(x, z) || 1e-300, c = x / size, s = z / size;
      if (k > first) e[k - 1] = size;
      const dk = d[k], dn = d[k + 1], ek = e[k];
      d[k] = c * c * dk + 2 * c * s * ek + s * s * dn;
      d[k + 1] = s * s * dk - 2 * c * s * ek + c * c * dn;
      e[k] = c * s * (dn - dk) + (c * c - s * s) * ek;
      if (k + 1 < last) {
        x = e[k];
        z = s * e[k + 1];
        e[k + 1] *= c;
      }
    }
  }
  return Array.from(d);
}
