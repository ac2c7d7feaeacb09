/* Shared by the tests of src/format: model files assembled in memory, and the ways to damage them.
 *
 * Each topic is a file with one function that runs its group; test_format.c calls them all.      */
#ifndef TEST_FORMAT_H
#define TEST_FORMAT_H

#include "base/buf.h"
#include "format/weights.h"
#include "support/support.h"

int test_format_convert(void);
int test_format_safetensors(void);
int test_format_folder(void);
int test_format_config(void);
int test_format_ggml(void);
int test_format_ctranslate2(void);
int test_format_pytorch(void);
int test_format_packed(void);

/* ---- Writing (little-endian; a failed append fails the test at file_done) -------------------- */

void put_u8(struct au_buf *file, uint8_t value);
void put_u16(struct au_buf *file, uint16_t value);
void put_u32(struct au_buf *file, uint32_t value);
void put_u64(struct au_buf *file, uint64_t value);
void put_f32(struct au_buf *file, float value);
void put_bytes(struct au_buf *file, const void *bytes, size_t n);
void put_text(struct au_buf *file, const char *text); /* without a length or an end */

/* ---- Reading: always from a block of exactly the right size, so that a sanitizer sees overruns */

struct opened {
    uint8_t *bytes;
    struct format_weights *weights; /* NULL when refused */
    enum auricle_error error;
    struct au_fault fault;
};

void open_bytes(const void *data, size_t n, struct opened *out);
void open_file(const struct au_buf *file, struct opened *out);
void close_opened(struct opened *opened);

/* The file loads. */
void assert_loads(const struct au_buf *file);
/* The file is refused with this code, and the sentence has `part` in it. */
void assert_refused(const struct au_buf *file, enum auricle_error error, const char *part);
/* Element i of a tensor as f32. */
float element(const struct format_weights *weights, const char *name, size_t i);
void assert_shape(const struct format_weights *weights, const char *name, const char *shape);

/* Cut the file at every length below n_cut_bytes (0: all): each must be refused, except at the
 * lengths that may_load allows (NULL: none).                                                     */
void assert_every_cut_is_refused(const struct au_buf *file, bool (*may_load)(size_t length));
/* Put every value of a small set into every byte of the first n bytes, and flip each bit: the file
 * may load or not, but nothing may crash; what loads is read completely.                         */
void survive_damage(const struct au_buf *file, size_t n);
/* Let each allocation fail in turn: NOMEM, and no leak. */
void survive_failing_memory(const struct au_buf *file);

/* Give folder/name these contents. */
void write_text(const char *folder, const char *name, const char *text);

#endif
