/* The tables of kernels: what runs at which level. A level lists what it has of its own and takes
 * the rest from the level below it, so no entry is ever NULL.                                    */
#include "kern/cpu.h"
#include "kern/fft.h"
#include "kern/levels.h"
#include "kern/pack.h"

/* All levels read the same layouts (pack.h); only preparing and running differ. */
#define GEMM_F32(level)                                                         \
    {                                                                           \
        .id = "f32-p16-1", .type = KERN_F32, .tile_m = 6, .tile_n = KERN_PANEL, \
        .packed_bytes = kern_pack_f32_bytes, .pack = kern_pack_f32,             \
        .prepared_bytes = kern_prep_f32_bytes, .prepare = kern_prep_f32,        \
        .run = kern_gemm_f32_##level,                                           \
    }
#define GEMM_BF16(prep_level, level)                                                          \
    {                                                                                         \
        .id = "bf16-p16x32-1", .type = KERN_BF16, .tile_m = KERN_PANEL, .tile_n = KERN_PANEL, \
        .packed_bytes = kern_pack_bf16_bytes, .pack = kern_pack_bf16,                         \
        .prepared_bytes = kern_prep_bf16_bytes, .prepare = kern_prep_bf16_##prep_level,       \
        .run = kern_gemm_bf16_##level,                                                        \
    }
#define GEMM_INT8(packer, prep_level, level)                                               \
    {                                                                                      \
        .id = "int8-p16x64-1", .type = KERN_INT8, .coarse = true, .tile_m = KERN_PANEL,    \
        .tile_n = KERN_PANEL, .packed_bytes = kern_pack_int8_bytes, .pack = packer,        \
        .prepared_bytes = kern_prep_int8_bytes, .prepare = kern_prep_int8_##prep_level,    \
        .prepare_pairs = kern_prep_int8_pairs_##prep_level, .run = kern_gemm_int8_##level, \
    }

/* Attention, row statistics and elementwise kernels of one level. */
#define ROW_KERNELS(level)                                                           \
                                                                                     \
    .attn_row = kern_attn_row_##level, .layer_norm = kern_layer_norm_##level,        \
    .gelu = kern_gelu_##level, .add = kern_add_##level,                              \
    .int8_residual = kern_int8_residual_##level, .spread = kern_spread_##level,      \
    .softmax = kern_softmax_##level, .log_sum_exp = kern_log_sum_exp_##level,        \
    .max = kern_max_##level, .dot = kern_dot_##level, .conv3_rows = kern_conv3_rows, \
    .power_spectrum = kern_power_spectrum_##level

#define HEADS(storage, level)                                                                   \
    {                                                                                           \
        .tile_t = 32, .packed_bytes = kern_heads_packed_bytes_##storage,                        \
        .pack = kern_heads_pack_##storage, .scratch_bytes = kern_heads_scratch_bytes_##storage, \
        .run = kern_heads_run_##level,                                                          \
    }

static const struct kern_gemm f32_generic = GEMM_F32(generic);
static const struct kern_gemm bf16_generic = GEMM_BF16(generic, generic);
static const struct kern_gemm int8_generic = GEMM_INT8(kern_pack_int8, generic, generic);

static const struct kern_heads heads_generic = HEADS(f32, generic);

static const struct kern_ops generic = {
    .level = KERN_GENERIC,
    .name = "generic",
    .peak = kern_peak_generic,
    .gemm = {[KERN_F32] = &f32_generic, [KERN_BF16] = &bf16_generic, [KERN_INT8] = &int8_generic},
    .heads = {&heads_generic, &heads_generic, &heads_generic},
    .soften = kern_soften,
    ROW_KERNELS(generic),
};

#if defined(__x86_64__)
static const struct kern_gemm f32_avx2 = GEMM_F32(avx2);
static const struct kern_gemm bf16_avx2 = GEMM_BF16(avx2, avx2);
static const struct kern_gemm int8_avx2 = GEMM_INT8(kern_pack_int8, avx2, avx2);
static const struct kern_gemm int8_avx2vnni = GEMM_INT8(kern_pack_int8, avx2, avx2vnni);
static const struct kern_gemm f32_avx512vnni = GEMM_F32(avx512vnni);
static const struct kern_gemm bf16_avx512vnni = GEMM_BF16(avx512vnni, avx512vnni);
static const struct kern_gemm int8_avx512vnni = GEMM_INT8(kern_pack_int8_avx512vnni, avx512vnni,
                                                          avx512vnni);
static const struct kern_gemm bf16_amx = GEMM_BF16(avx512vnni, amx);
static const struct kern_gemm int8_amx = GEMM_INT8(kern_pack_int8_avx512vnni, avx512vnni, amx);

static const struct kern_heads heads_avx2 = HEADS(f32, avx2);
static const struct kern_heads heads_avx512vnni = HEADS(f32, avx512vnni);
static const struct kern_heads heads_amx = HEADS(amx, amx);

static const struct kern_ops avx2 = {
    .level = KERN_AVX2,
    .name = "avx2",
    .peak = kern_peak_avx2,
    .gemm = {[KERN_F32] = &f32_avx2, [KERN_BF16] = &bf16_avx2, [KERN_INT8] = &int8_avx2},
    .heads = {&heads_avx2, &heads_avx2, &heads_avx2},
    .soften = kern_soften,
    ROW_KERNELS(avx2),
};

/* The same level on a processor that has VNNI in 256 bits. */
static const struct kern_ops avx2vnni = {
    .level = KERN_AVX2,
    .name = "avx2+vnni",
    .peak = kern_peak_avx2,
    .gemm = {[KERN_F32] = &f32_avx2, [KERN_BF16] = &bf16_avx2, [KERN_INT8] = &int8_avx2vnni},
    .heads = {&heads_avx2, &heads_avx2, &heads_avx2},
    .soften = kern_soften,
    ROW_KERNELS(avx2),
};

static const struct kern_ops avx512vnni = {
    .level = KERN_AVX512VNNI,
    .name = "avx512vnni",
    .peak = kern_peak_avx512vnni,
    .gemm = {[KERN_F32] = &f32_avx512vnni,
             [KERN_BF16] = &bf16_avx512vnni,
             [KERN_INT8] = &int8_avx512vnni},
    .heads = {&heads_avx512vnni, &heads_avx512vnni, &heads_avx512vnni},
    .soften = kern_soften_avx512vnni,
    ROW_KERNELS(avx512vnni),
};

static const struct kern_ops amx = {
    .level = KERN_AMX,
    .name = "amx",
    .peak = kern_peak_amx,
    .gemm = {[KERN_F32] = &f32_avx512vnni, [KERN_BF16] = &bf16_amx, [KERN_INT8] = &int8_amx},
    .heads = {&heads_avx512vnni, &heads_amx, &heads_amx},
    .soften = kern_soften_avx512vnni,
    ROW_KERNELS(avx512vnni),
};
#endif

#if defined(__aarch64__)
static const struct kern_gemm f32_neon = GEMM_F32(neon);
static const struct kern_gemm bf16_neon = GEMM_BF16(neon, neon);
static const struct kern_gemm int8_neon = GEMM_INT8(kern_pack_int8, neon, neon);
static const struct kern_gemm int8_neondot = GEMM_INT8(kern_pack_int8, neon, neondot);
static const struct kern_gemm bf16_i8mm = GEMM_BF16(neon, i8mm);
static const struct kern_gemm int8_i8mm = GEMM_INT8(kern_pack_int8, neon, i8mm);

static const struct kern_heads heads_neon = HEADS(f32, neon);

static const struct kern_ops neon = {
    .level = KERN_NEON,
    .name = "neon",
    .peak = kern_peak_neon,
    .gemm = {[KERN_F32] = &f32_neon, [KERN_BF16] = &bf16_neon, [KERN_INT8] = &int8_neon},
    .heads = {&heads_neon, &heads_neon, &heads_neon},
    .soften = kern_soften,
    ROW_KERNELS(neon),
};

/* The same level on a processor that has dot products. */
static const struct kern_ops neondot = {
    .level = KERN_NEON,
    .name = "neon+dotprod",
    .peak = kern_peak_neon,
    .gemm = {[KERN_F32] = &f32_neon, [KERN_BF16] = &bf16_neon, [KERN_INT8] = &int8_neondot},
    .heads = {&heads_neon, &heads_neon, &heads_neon},
    .soften = kern_soften,
    ROW_KERNELS(neon),
};

static const struct kern_ops i8mm = {
    .level = KERN_I8MM,
    .name = "i8mm",
    .peak = kern_peak_i8mm,
    .gemm = {[KERN_F32] = &f32_neon, [KERN_BF16] = &bf16_i8mm, [KERN_INT8] = &int8_i8mm},
    .heads = {&heads_neon, &heads_neon, &heads_neon},
    .soften = kern_soften,
    ROW_KERNELS(neon),
};
#endif

/* From the lowest level up; within a level the better table comes later. */
static const struct {
    const struct kern_ops *ops;
    uint32_t needs; /* bits of kern_cpu_feature */
} tables[] = {
    {&generic, 0},
#if defined(__x86_64__)
    {&avx2, KERN_CPU_AVX2},
    {&avx2vnni, KERN_CPU_AVX2 | KERN_CPU_AVXVNNI},
    {&avx512vnni, KERN_CPU_AVX512},
    {&amx, KERN_CPU_AMX},
#elif defined(__aarch64__)
    {&neon, KERN_CPU_NEON},
    {&neondot, KERN_CPU_NEON | KERN_CPU_DOTPROD},
    {&i8mm, KERN_CPU_I8MM},
#endif
};

#define N_TABLES (sizeof(tables) / sizeof(tables[0]))

const struct kern_ops *kern_select(enum kern_level limit)
{
    const struct kern_ops *best = &generic;
    for (size_t i = 0; i < N_TABLES; i++)
        if (tables[i].ops->level <= limit && (tables[i].needs & ~kern_cpu_features()) == 0)
            best = tables[i].ops;
    return best;
}

const struct kern_ops *kern_table(size_t index)
{
    for (size_t i = 0; i < N_TABLES; i++)
        if ((tables[i].needs & ~kern_cpu_features()) == 0 && index-- == 0)
            return tables[i].ops;
    return NULL;
}
