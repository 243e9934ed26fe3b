/* Convolution in C, by definition. y (n, k, oh, ow) is all written; x (n, c, h, w_), w (k, c/groups, fh, fw) and
   b (k), or NULL, are only read. All arrays are dense; sizes, checked by the caller, fit together. */
#include <stddef.h>
#include <stdint.h>

#define CONV2D(NAME, T)                                                                                              \
void NAME(const T *x, const T *w, const T *b, T *y, int64_t n, int64_t c, int64_t h, int64_t w_, int64_t k,          \
          int64_t fh, int64_t fw, int64_t sh, int64_t sw, int64_t ph, int64_t pw, int64_t dh, int64_t dw,            \
          int64_t groups)                                                                                            \
{                                                                                                                    \
    const int64_t oh = (h + 2 * ph - dh * (fh - 1) - 1) / sh + 1;                                                    \
    const int64_t ow = (w_ + 2 * pw - dw * (fw - 1) - 1) / sw + 1;                                                   \
    const int64_t cg = c / groups, kg = k / groups;                                                                  \
    for (int64_t in = 0; in < n; in++)                                                                               \
    for (int64_t ik = 0; ik < k; ik++)                                                                               \
    for (int64_t oy = 0; oy < oh; oy++)                                                                              \
    for (int64_t ox = 0; ox < ow; ox++) {                                                                            \
        T sum = b ? b[ik] : 0;                                                                                       \
        for (int64_t ic = 0; ic < cg; ic++)                                                                          \
        for (int64_t fy = 0; fy < fh; fy++)                                                                          \
        for (int64_t fx = 0; fx < fw; fx++) {                                                                        \
            const int64_t iy = oy * sh - ph + fy * dh, ix = ox * sw - pw + fx * dw;                                  \
            if (iy < 0 || iy >= h || ix < 0 || ix >= w_)                                                             \
                continue;                                                                                            \
            const int64_t plane = in * c + ik / kg * cg + ic; /* the group's own channels */                         \
            sum += x[(plane * h + iy) * w_ + ix] * w[((ik * cg + ic) * fh + fy) * fw + fx];                          \
        }                                                                                                            \
        y[((in * k + ik) * oh + oy) * ow + ox] = sum;                                                                \
    }                                                                                                                \
}

CONV2D(conv2d_f32, float)
CONV2D(conv2d_f64, double)
