/* Weight files of every kind, told apart by content: what opens is read completely, and a Whisper
 * model is made of it where it has the tensors of one.                                           */
#include "base/mem.h"
#include "format/weights.h"
#include "fuzz.h"
#include "kern/kern.h"
#include "model/whisper/whisper.h"

#define MAX_ELEMENTS ((size_t)1 << 22) /* a tensor of the input's few kilobytes cannot have more */

static void read_all(const struct format_weights *weights)
{
    for (size_t i = 0; i < format_weights_count(weights); i++) {
        const struct format_tensor *tensor = format_weights_at(weights, i);
        char shape[128];
        FUZZ_CHECK(format_shape_text(tensor, shape, sizeof shape) == shape);
        FUZZ_CHECK(tensor->n_elements <= MAX_ELEMENTS);
        float *values = au_alloc_array(tensor->n_elements, sizeof *values);
        FUZZ_CHECK(values);
        format_read_f32(tensor, values);
        au_free(values);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct format_weights *weights;
    struct whisper_model *model;
    struct au_fault fault = {0};
    if (format_weights_open_bytes("input", data, size, &weights, &fault)) {
        FUZZ_CHECK(fault.text[0]);
        return 0;
    }
    read_all(weights);
    if (whisper_model_create(weights, kern_select(KERN_GENERIC), KERN_F32, NULL, &model, &fault))
        FUZZ_CHECK(fault.text[0]);
    else
        whisper_model_destroy(model);
    format_weights_close(weights);
    return 0;
}
