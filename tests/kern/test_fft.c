/* The 400-point power spectrum at every level: against a double transform, bit for bit between
 * levels, and independent of the other frames of its tile.                                      */
#include <math.h>

#include "util.h"

#define N_BINS 201
#define TILE   KERN_FFT_TILE
#define HOP    160
#define N_X    ((TILE - 1) * HOP + 400)

struct setup {
    struct kern_fft400 plan;
    float window[400];
    float x[N_X];
};

static void set_up(struct setup *s, uint64_t seed)
{
    kern_fft400_init(&s->plan);
    for (int i = 0; i < 400; i++)
        s->window[i] = (float)(0.5 - 0.5 * cos(2 * M_PI * i / 400));
    random_fill(s->x, N_X, seed);
}

static void spectrum_is_the_squared_transform(void **state)
{
    struct setup s;
    (void)state;
    set_up(&s, 1);
    const struct kern_ops *levels[MOST_TABLES];
    size_t n_levels = usable_levels(levels);
    float power[N_BINS * TILE] __attribute__((aligned(64)));
    for (size_t l = 0; l < n_levels; l++) {
        levels[l]->power_spectrum(&s.plan, s.x, HOP, TILE, s.window, power);
        for (size_t f = 0; f < TILE; f++) {
            double energy = 0;
            for (int i = 0; i < 400; i++)
                energy += pow((double)(s.x[f * HOP + (size_t)i] * s.window[i]), 2);
            for (int k = 0; k < N_BINS; k++) {
                double re = 0, im = 0;
                for (int i = 0; i < 400; i++) {
                    double value = (double)(s.x[f * HOP + (size_t)i] * s.window[i]);
                    double angle = -2 * M_PI * (k * i % 400) / 400;
                    re += value * cos(angle);
                    im += value * sin(angle);
                }
                /* |error| of an amplitude stays below 2e-6 of the frame's norm: six stages of
                 * roundings of 6e-8 each.                                                        */
                double norm = sqrt(energy), wanted = re * re + im * im;
                assert_near((double)power[(size_t)k * TILE + f], wanted,
                            4e-6 * norm * sqrt(wanted) + 4e-12 * energy);
            }
        }
    }
}

static void levels_agree_bit_for_bit(void **state)
{
    const struct kern_ops *levels[MOST_TABLES];
    size_t n_levels = usable_levels(levels);
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct setup s;
        float first[N_BINS * TILE] __attribute__((aligned(64)));
        float other[N_BINS * TILE] __attribute__((aligned(64)));
        set_up(&s, seed);
        levels[0]->power_spectrum(&s.plan, s.x, HOP, TILE, s.window, first);
        for (size_t l = 1; l < n_levels; l++) {
            levels[l]->power_spectrum(&s.plan, s.x, HOP, TILE, s.window, other);
            assert_same_bits(other, first, N_BINS * TILE);
        }
    }
}

/* n frames of a tile equal the first n of a full one, the rest is 0, and nothing is read behind
 * the last sample (the buffer ends there, which the address sanitizer sees) or written outside.  */
static void short_tiles_and_odd_hops(void **state)
{
    static const size_t hops[] = {1, 3, 160, 161};
    const struct kern_ops *levels[MOST_TABLES];
    size_t n_levels = usable_levels(levels);
    struct setup s;
    float one[N_BINS * TILE] __attribute__((aligned(64)));
    (void)state;
    set_up(&s, 5);
    for (size_t h = 0; h < sizeof hops / sizeof *hops; h++)
        for (size_t l = 0; l < n_levels; l++)
            for (size_t n = 1; n <= TILE; n++) {
                size_t n_x = (n - 1) * hops[h] + 400;
                float *x = malloc(n_x * sizeof *x);
                struct guarded g;
                float *power = guarded_create(&g, sizeof one, 0);
                assert_non_null(x);
                random_fill(x, n_x, n);
                levels[l]->power_spectrum(&s.plan, x, hops[h], n, s.window, power);
                for (size_t f = 0; f < n; f++) {
                    levels[0]->power_spectrum(&s.plan, x + f * hops[h], 1, 1, s.window, one);
                    for (size_t k = 0; k < N_BINS; k++)
                        assert_same_bits(&power[k * TILE + f], &one[k * TILE], 1);
                }
                for (size_t k = 0; k < N_BINS; k++)
                    for (size_t f = n; f < TILE; f++)
                        assert_true(power[k * TILE + f] == 0.0f);
                guarded_destroy(&g);
                free(x);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spectrum_is_the_squared_transform),
        cmocka_unit_test(levels_agree_bit_for_bit),
        cmocka_unit_test(short_tiles_and_odd_hops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
