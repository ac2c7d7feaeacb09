/* Preparing rows as pairs of int8 rows: the rounded one, and what rounding it left.
 *
 * Included by every level after its own max_magnitude(x, n), residual(out, x, n, largest) and
 * quantise_row(to, x, k, largest). What is left lies on the stack, REST_COLUMNS at a time; a longer
 * row's is made twice, for its largest magnitude and to be rounded.                              */

#define REST_COLUMNS 2048 /* whole chunks */

static inline size_t rest_columns(size_t k, size_t at)
{
    return k - at < REST_COLUMNS ? k - at : REST_COLUMNS;
}

/* Rows `high` and `low`; *scale_low receives that of the latter. */
static inline void prepare_pair(int8_t *high, int8_t *low, const float *x, size_t k, float largest,
                                float *scale_low)
{
    float rest[REST_COLUMNS], most = 0.0f;
    quantise_row(high, x, k, largest);
    for (size_t at = 0; at < k; at += REST_COLUMNS) {
        residual(rest, x + at, rest_columns(k, at), largest);
        const float here = max_magnitude(rest, rest_columns(k, at));
        most = here > most ? here : most;
    }
    for (size_t at = 0; at < k; at += REST_COLUMNS) {
        if (k > REST_COLUMNS)
            residual(rest, x + at, rest_columns(k, at), largest);
        quantise_row(low + at / KERN_CHUNK_INT8 * KERN_TILE_BYTES, rest, rest_columns(k, at), most);
    }
    *scale_low = most / 127.0f;
}

static inline void prepare_pairs(void *prepared, const float *x, size_t x_stride, size_t m,
                                 size_t k, size_t i0, size_t i1)
{
    const size_t chunks = kern_chunks(k, KERN_CHUNK_INT8);
    float *scales = prepared;
    int8_t *blocks = (int8_t *)prepared + kern_prep_int8_head(m);
    for (size_t i = i0; i < i1; i++) {
        const float largest = max_magnitude(x + i * x_stride, k);
        scales[2 * i] = largest / 127.0f;
        prepare_pair(blocks + kern_prep_row(2 * i, chunks),
                     blocks + kern_prep_row(2 * i + 1, chunks), x + i * x_stride, k, largest,
                     &scales[2 * i + 1]);
    }
}
