/* Dynamic time warping. See dtw.h.
 *
 * Two columns of accumulated cost and one byte per cell for the way back.                      */
#include "recog/words/dtw.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

enum step { DIAGONAL, UP, LEFT };

size_t recog_dtw_scratch_bytes(size_t n, size_t m)
{
    size_t cells, columns;
    if (!au_mul_size(n + 1, m + 1, &cells) || !au_mul_size(n + 1, 2 * sizeof(float), &columns) ||
        !au_add_size(cells, columns, &cells))
        return 0;
    return cells;
}

static size_t walk_back(const uint8_t *trace, size_t n, size_t m, int32_t *rows, int32_t *columns)
{
    size_t i = n, j = m, count = 0;
    while (i > 0 || j > 0) {
        rows[count] = (int32_t)i - 1;
        columns[count++] = (int32_t)j - 1;
        enum step step = i == 0 ? LEFT : j == 0 ? UP : (enum step)trace[j * (n + 1) + i];
        i -= step != LEFT;
        j -= step != UP;
    }
    for (size_t a = 0, b = count; a + 1 < b; a++) {
        int32_t row = rows[a], column = columns[a];
        b--;
        rows[a] = rows[b];
        columns[a] = columns[b];
        rows[b] = row;
        columns[b] = column;
    }
    return count;
}

size_t recog_dtw(const float *cost, size_t n, size_t m, void *scratch, int32_t *rows,
                 int32_t *columns)
{
    float *left = scratch, *here = left + n + 1;
    uint8_t *trace = (uint8_t *)(here + n + 1);
    left[0] = 0;
    for (size_t i = 1; i <= n; i++)
        left[i] = INFINITY;
    for (size_t j = 1; j <= m; j++) {
        here[0] = INFINITY;
        for (size_t i = 1; i <= n; i++) {
            float diagonal = left[i - 1], up = here[i - 1], across = left[i];
            enum step step = diagonal < up && diagonal < across ? DIAGONAL
                             : up < diagonal && up < across     ? UP
                                                                : LEFT;
            float best = step == DIAGONAL ? diagonal : step == UP ? up : across;
            here[i] = (float)((double)cost[(i - 1) * m + (j - 1)] + (double)best);
            trace[j * (n + 1) + i] = (uint8_t)step;
        }
        float *swap = left;
        left = here;
        here = swap;
    }
    return walk_back(trace, n, m, rows, columns);
}
