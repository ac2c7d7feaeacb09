/* Inside of a `format_weights`, shared by the parsers of this folder and by nobody else.
 *
 * A parser is a function over bytes: it walks the file, calls format_store_add for each tensor and
 * returns the first failure. The store checks what is common to all files (names, dimensions, byte
 * counts, limits, duplicates), so a parser only checks what its own format adds. Tensors point into
 * the parsed bytes, which must outlive the store. Sentences leave the path out: format_weights_open
 * puts it before them.                                                                          */
#ifndef FORMAT_STORE_H
#define FORMAT_STORE_H

#include "base/file.h"
#include "base/map.h"
#include "format/weights.h"

#define FORMAT_MAX_TENSORS    16384 /* Whisper large has 1,259 */
#define FORMAT_MAX_NAME_BYTES 512
#define FORMAT_MAX_SHARDS     1024

struct format_weights {
    enum format_kind kind;
    char *path;

    struct format_tensor *tensors; /* names are owned */
    size_t n_tensors, tensor_capacity;
    struct au_map *index; /* name -> position in tensors */
    uint64_t tensor_bytes;

    struct au_file_map *maps; /* [n_maps] */
    size_t n_maps;
    void **blocks; /* heap memory that tensors point into */
    size_t n_blocks, block_capacity;

    struct format_ggml_header header;
    struct format_whisper_extra extra;
};

/* A block of memory that lives as long as the store; NULL when memory is not to be had. */
void *format_store_block(struct format_weights *weights, size_t bytes);

/* Add a tensor. `tensor` gives type, n_dims, shape, data and bytes (those at hand in the file);
 * name, n_elements and row_scale are set here. exact: bytes must be what the shape needs, otherwise
 * at least that. Errors: FORMAT, LIMIT, NOMEM.                                                   */
AURICLE_MUST_CHECK enum auricle_error format_store_add(struct format_weights *weights,
                                                       const char *name, size_t name_bytes,
                                                       const struct format_tensor *tensor,
                                                       bool exact, struct au_fault *fault);
/* Another name for a tensor that is there, scales and all; its bytes are not counted twice. */
AURICLE_MUST_CHECK enum auricle_error format_store_alias(struct format_weights *weights,
                                                         const char *name, size_t name_bytes,
                                                         const struct format_tensor *tensor,
                                                         struct au_fault *fault);
/* Elements and bytes of a shape; false when the product overflows or a row of a block-quantised
 * type is not a whole number of blocks.                                                          */
bool format_shape_size(enum format_type type, int n_dims, const size_t *shape, size_t *n_elements,
                       size_t *bytes);
struct format_tensor *format_store_find(struct format_weights *weights, const char *name);

/* Elements and bytes of the unit a type is stored in: 1 element, or a block of 32. */
size_t format_type_block_elements(enum format_type type);
size_t format_type_block_bytes(enum format_type type);

/* ---- The parsers ----------------------------------------------------------------------------- */

typedef enum auricle_error format_parser(struct format_weights *weights, const uint8_t *data,
                                         size_t bytes, struct au_fault *fault);

/* What the first bytes are, or a refusal that says what was seen and what to load instead. */
AURICLE_MUST_CHECK enum auricle_error format_sniff(const uint8_t *data, size_t bytes,
                                                   enum format_kind *out, struct au_fault *fault);
format_parser format_parse_safetensors;
format_parser format_parse_ggml;
format_parser format_parse_pytorch;
format_parser format_parse_ctranslate2;

#endif
