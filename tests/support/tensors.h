/* Made-up safetensors files for tests of models: add tensors, fill them, write the file. */
#ifndef AURICLE_TESTS_TENSORS_H
#define AURICLE_TESTS_TENSORS_H

#include "support/support.h"

struct au_test_tensors {
    char *header;
    float *data;
    size_t n;
};
struct au_test_tensors *au_test_tensors_new(void);
void au_test_tensors_free(struct au_test_tensors *t);
/* Zeroed numbers of the new tensor, to be filled in before the next one is added. */
float *au_test_tensors_add(struct au_test_tensors *t, const char *name, int n_dims,
                           const size_t *shape);
char *au_test_tensors_write(const struct au_test_tensors *t, const char *folder, const char *name);

#endif
