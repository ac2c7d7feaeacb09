/* "Did you mean ...?": the nearest of some words by edit distance.
 *
 * Offer candidates, then ask for the nearest; NULL when none is near. ASCII case is ignored.
 * Strings are borrowed. Thread: any; one owner.                                                  */
#ifndef AU_BASE_NEAREST_H
#define AU_BASE_NEAREST_H

#include <stddef.h>

struct au_nearest {
    const char *word, *best; /* set word; best NULL and distance 0 to begin with */
    size_t distance;
};
void au_nearest_offer(struct au_nearest *nearest, const char *candidate);
const char *au_nearest_pick(const struct au_nearest *nearest);

#endif
