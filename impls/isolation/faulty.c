/* A convolution in C as in examples/c_kernel, with faults that fire where a stride is larger than its filter: each a
   function of its own, named by it. */
#define _POSIX_C_SOURCE 199309L
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PARAMETERS                                                                                                   \
    const float *x, const float *w, const float *b, float *y, int64_t n, int64_t c, int64_t h, int64_t w_,           \
    int64_t k, int64_t fh, int64_t fw, int64_t sh, int64_t sw, int64_t ph, int64_t pw, int64_t dh, int64_t dw,       \
    int64_t groups
#define ARGUMENTS x, w, b, y, n, c, h, w_, k, fh, fw, sh, sw, ph, pw, dh, dw, groups

static volatile float sink;

static int64_t outputs(int64_t size, int64_t extent, int64_t stride, int64_t pad, int64_t dilation)
{
    return (size + 2 * pad - dilation * (extent - 1) - 1) / stride + 1;
}

/* All outputs but the last `left`. */
static void convolve(PARAMETERS, int64_t left)
{
    const int64_t oh = outputs(h, fh, sh, ph, dh), ow = outputs(w_, fw, sw, pw, dw);
    const int64_t cg = c / groups, kg = k / groups, cells = n * k * oh * ow - left;
    for (int64_t cell = 0; cell < cells; cell++) {
        const int64_t ox = cell % ow, oy = cell / ow % oh, ik = cell / ow / oh % k, in = cell / ow / oh / k;
        float sum = b ? b[ik] : 0;
        for (int64_t ic = 0; ic < cg; ic++)
        for (int64_t fy = 0; fy < fh; fy++)
        for (int64_t fx = 0; fx < fw; fx++) {
            const int64_t iy = oy * sh - ph + fy * dh, ix = ox * sw - pw + fx * dw;
            if (iy < 0 || iy >= h || ix < 0 || ix >= w_)
                continue;
            const int64_t plane = in * c + ik / kg * cg + ic;
            sum += x[(plane * h + iy) * w_ + ix] * w[((ik * cg + ic) * fh + fy) * fw + fx];
        }
        y[cell] = sum;
    }
}

#define FAULT(NAME, FAULTY)                                                                                          \
void NAME(PARAMETERS)                                                                                                \
{                                                                                                                    \
    const int64_t ny = n * k * outputs(h, fh, sh, ph, dh) * outputs(w_, fw, sw, pw, dw);                             \
    const int64_t nx = n * c * h * w_, nw = k * (c / groups) * fh * fw;                                              \
    const int fires = (sh > fh || sw > fw) && ny && nx && nw;                                                        \
    convolve(ARGUMENTS, 0);                                                                                          \
    if (fires) {                                                                                                     \
        FAULTY;                                                                                                      \
    }                                                                                                                \
}

static void blow_up(void)
{
    for (size_t taken = 0;; taken += 64) {
        char *more = malloc(64 << 20);
        if (!more) {
            fprintf(stderr, "no more than %zu MB\n", taken);
            abort();
        }
        memset(more, 1, 64 << 20);
    }
}

static void overflow(void)
{
    volatile char *p = malloc(24);
    for (int i = 0; i < 48; i++)
        p[i] = 0x41;
    free((void *)p);
}

static void free_twice(void)
{
    void *volatile p = malloc(5000);
    free(p);
    free(p);
}

/* What an aligned vector access does, on any machine. */
static void aligned(const void *p) { if ((uintptr_t)p % 16) raise(SIGSEGV); }

static int third(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_nsec / 1000 % 3 == 0; }

static int calls;

/* A free block says that it is smaller than its list may hold: malloc asserts that it is not, when it wants one. */
static void fail_an_assertion(void)
{
    char *blocks[32]; /* the last of which lie side by side, whatever holes there were */
    for (int i = 0; i < 32; i++) blocks[i] = malloc(60000);
    free(blocks[30]);
    sink = malloc(100000) != NULL; /* which puts the free block into its list */
    ((volatile size_t *)blocks[30])[-1] = 0x21;
    for (int i = 0; i < 200; i++) sink = malloc(20000) != NULL; /* of smaller holes first, if there are any */
}

static int zero(void) { volatile int none = 0; return none; }

FAULT(sound, )
FAULT(segfault, *(volatile int *)0 = 1)
FAULT(division, sink = (int)nx / zero())
FAULT(aborts, abort())
FAULT(exits, _exit(7))
FAULT(loops, for (;;) sink = 1)
FAULT(memory, blow_up())
FAULT(spam, for (int i = 0; i < 20000; i++) printf("spam spam spam spam spam spam spam spam %d\n", i); fflush(stdout))
FAULT(endless_spam, for (;;) printf("spam spam spam spam spam spam spam spam spam spam\n"))
FAULT(over_read_x, sink = ((volatile const float *)x)[nx])
FAULT(under_read_x, sink = ((volatile const float *)x)[-1])
FAULT(over_read_w, sink = ((volatile const float *)w)[nw])
FAULT(under_read_w, sink = ((volatile const float *)w)[-1])
FAULT(over_write, y[ny] = 1)
FAULT(under_write, y[-1] = 1)
FAULT(far_write, y[ny + 20000] = 1)
FAULT(over_write_w, ((float *)w)[nw] = 1)
FAULT(over_read_y, sink = ((volatile float *)y)[ny])
FAULT(writes_x, ((float *)x)[nx - 1] += 1)
FAULT(writes_w, ((float *)w)[0] += 1)
FAULT(restores_w, float kept = *w; *(volatile float *)w = 0; *(volatile float *)w = kept)
FAULT(aligned_x, aligned(x))
FAULT(aligned_y, aligned(y))
FAULT(now_and_then, if (third()) *(volatile int *)0 = 1)
FAULT(each_fourth, if (++calls % 4 == 0) *(volatile int *)0 = 1)
FAULT(frees_twice, free_twice())
FAULT(heap, overflow())
FAULT(heap_asserts, fail_an_assertion())
FAULT(leaves_a_child, if (fork() == 0) { sleep(60); _exit(0); } *(volatile int *)0 = 1)
FAULT(speaks_of_the_heap, fprintf(stderr, "cache corrupt: alloc() failed, free() it\n"); exit(2))
FAULT(far_read_x, sink = ((volatile const float *)x)[nx + 500000])
FAULT(unchecked, volatile char *all = malloc((size_t)1 << 30); *all = 1; free((void *)all))
FAULT(uninitialised, volatile float *p = malloc(64); y[ny - 1] = p[12]; free((void *)p))
FAULT(after_free, volatile float *p = malloc(64); free((void *)p); y[ny - 1] = p[12])
FAULT(closes, for (int i = 3; i < 64; i++) close(i))

void unwritten(PARAMETERS)
{
    convolve(ARGUMENTS, sh > fh || sw > fw);
}
