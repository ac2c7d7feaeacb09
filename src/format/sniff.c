/* What kind of file is this? Decided by its first bytes, never by its name.
 *
 * Files that people really hand to a speech program but that cannot be run (GGUF, ONNX, a web page
 * saved in place of a download, a Git LFS pointer, audio) get a sentence each: what it is and what
 * to load instead.                                                                               */
#include <ctype.h>

#include "format/bytes.h"
#include "format/store.h"

#define GGML_MAGIC 0x67676d6cu
#define ACCEPTED_MODELS \
    "load a safetensors file or folder, a whisper.cpp .bin, an OpenAI .pt or a CTranslate2 folder"

struct signature {
    size_t offset;
    const char *bytes;
    size_t n;
    enum auricle_error code;
    const char *sentence;
};

#define AT(offset, text) offset, text, sizeof text - 1

/* Order matters only where one signature is the beginning of another. */
static const struct signature refused[] = {
    {AT(0, "GGUF"), AURICLE_E_UNSUPPORTED,
     "is a GGUF file, a format of language models; " ACCEPTED_MODELS},
    {AT(0, "tjgg"), AURICLE_E_UNSUPPORTED,
     "is a GGJT file of a language model, not of Whisper; " ACCEPTED_MODELS},
    {AT(0, "fmgg"), AURICLE_E_UNSUPPORTED,
     "is a GGMF file of a language model, not of Whisper; " ACCEPTED_MODELS},
    {AT(0, "version https://git-lfs"), AURICLE_E_FORMAT,
     "is a Git LFS pointer of a few bytes, not the weights: run `git lfs pull` in that folder, or "
     "download the file itself"},
    {AT(4, "TFL3"), AURICLE_E_UNSUPPORTED, "is a TensorFlow Lite model; " ACCEPTED_MODELS},
    {AT(4, "ORTM"), AURICLE_E_UNSUPPORTED, "is an ONNX Runtime model; " ACCEPTED_MODELS},
    {AT(0, "\x89HDF"), AURICLE_E_UNSUPPORTED,
     "is an HDF5 file (Keras, TensorFlow); " ACCEPTED_MODELS},
    {AT(0, "\x93NUMPY"), AURICLE_E_UNSUPPORTED,
     "is a single NumPy array, not a model; " ACCEPTED_MODELS},
    {AT(0, "\x1f\x8b"), AURICLE_E_UNSUPPORTED,
     "is compressed with gzip: unpack it first (gzip -d) and load what comes out"},
    {AT(0, "\x28\xb5\x2f\xfd"), AURICLE_E_UNSUPPORTED,
     "is compressed with zstd: unpack it first (zstd -d) and load what comes out"},
    {AT(0, "\xfd"
           "7zXZ"),
     AURICLE_E_UNSUPPORTED,
     "is compressed with xz: unpack it first (xz -d) and load what comes out"},
    {AT(257, "ustar"), AURICLE_E_UNSUPPORTED,
     "is a tar archive: unpack it first and load the folder"},
    {AT(0, "RIFF"), AURICLE_E_FORMAT, "is an audio file, not a model; " ACCEPTED_MODELS},
    {AT(0, "fLaC"), AURICLE_E_FORMAT, "is an audio file, not a model; " ACCEPTED_MODELS},
    {AT(0, "OggS"), AURICLE_E_FORMAT, "is an audio file, not a model; " ACCEPTED_MODELS},
    {AT(0, "ID3"), AURICLE_E_FORMAT, "is an audio file, not a model; " ACCEPTED_MODELS},
};

static bool starts_nocase(const uint8_t *data, size_t bytes, const char *text)
{
    size_t n = strlen(text);
    for (size_t i = 0; i < n; i++)
        if (i >= bytes || tolower(data[i]) != text[i])
            return false;
    return true;
}

/* ONNX is a protobuf without a magic: field 1 (ir_version, a small number), then a text or the
 * graph.                                                                                        */
static bool looks_like_onnx(const uint8_t *data, size_t bytes)
{
    return bytes > 16 && data[0] == 0x08 && data[1] >= 1 && data[1] <= 32 &&
           (data[2] == 0x12 || data[2] == 0x1a || data[2] == 0x22 || data[2] == 0x3a ||
            data[2] == 0x42);
}

/* u32 version, then a counted and terminated name. */
static bool looks_like_ctranslate2(const uint8_t *data, size_t bytes)
{
    if (bytes < 8 || format_le32(data) == 0 || format_le32(data) > 255)
        return false;
    size_t n = format_le16(data + 4);
    if (n < 2 || n > 64 || n > bytes - 6 || data[6 + n - 1] != 0)
        return false;
    for (size_t i = 0; i + 1 < n; i++)
        if (!isalnum(data[6 + i]) && data[6 + i] != '_')
            return false;
    return true;
}

static enum auricle_error refuse_text(const uint8_t *data, size_t bytes, struct au_fault *fault)
{
    while (bytes > 0 && isspace(*data)) {
        data++;
        bytes--;
    }
    if (starts_nocase(data, bytes, "<!doctype") || starts_nocase(data, bytes, "<html") ||
        starts_nocase(data, bytes, "<?xml"))
        return au_fail(fault, AURICLE_E_FORMAT,
                       "is a web page, not weights: the download went wrong (is the address right, "
                       "does it need a login?)");
    if (bytes > 0 && (*data == '{' || *data == '['))
        return au_fail(fault, AURICLE_E_FORMAT,
                       "is a JSON text, not weights: give the folder it lies in");
    return AURICLE_OK;
}

enum auricle_error format_sniff(const uint8_t *data, size_t bytes, enum format_kind *out,
                                struct au_fault *fault)
{
    if (bytes >= 4 && data[0] == 'P' && data[1] == 'K' && data[2] == 3 && data[3] == 4) {
        *out = FORMAT_PYTORCH;
        return AURICLE_OK;
    }
    if (bytes >= 4 && format_le32(data) == GGML_MAGIC) {
        *out = FORMAT_GGML;
        return AURICLE_OK;
    }
    if (bytes >= 9 && data[8] == '{' && format_le64(data) < UINT64_C(1) << 40) {
        *out = FORMAT_SAFETENSORS;
        return AURICLE_OK;
    }
    if (looks_like_ctranslate2(data, bytes)) {
        *out = FORMAT_CTRANSLATE2;
        return AURICLE_OK;
    }
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        const struct signature *s = &refused[i];
        if (bytes >= s->offset + s->n && memcmp(data + s->offset, s->bytes, s->n) == 0)
            return au_fail(fault, s->code, "%s", s->sentence);
    }
    if (looks_like_onnx(data, bytes))
        return au_fail(fault, AURICLE_E_UNSUPPORTED, "is an ONNX model; " ACCEPTED_MODELS);
    if (bytes >= 2 && data[0] == 0x80 && data[1] >= 2 && data[1] <= 5)
        return au_fail(
            fault, AURICLE_E_UNSUPPORTED,
            "is a bare Python pickle (torch.save before version 1.6): save it again with "
            "a newer torch, or load the safetensors file of this model");
    enum auricle_error error = refuse_text(data, bytes, fault);
    if (error)
        return error;
    return au_fail(fault, AURICLE_E_FORMAT,
                   "is not a model file of a known kind; " ACCEPTED_MODELS);
}
