/* Vocabulary files. The first byte says which: 't' tiktoken, 'j' tokenizer.json, 'v' vocab.json;
 * the rest is the file. What loads encodes and decodes a text.                                   */
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "fuzz.h"
#include "text/tokenizer.h"

#define N_IDS 64

static void use(const struct text_tokenizer *tokenizer)
{
    static const char text[] = "Hello, wörld! It's 12 o'clock.\n";
    int32_t ids[N_IDS];
    size_t n, ends[N_IDS], bytes;
    struct au_buf out;
    au_buf_init(&out, 1 << 20);
    if (text_encode(tokenizer, text, sizeof text - 1, ids, N_IDS, &n) == AURICLE_OK) {
        FUZZ_CHECK(n <= N_IDS);
        FUZZ_CHECK(text_decode(tokenizer, ids, n, &out) == AURICLE_OK);
        FUZZ_CHECK(text_split_words(tokenizer, ids, n, "en", ends) <= n);
    }
    FUZZ_CHECK(text_non_speech_tokens(tokenizer, ids, N_IDS, &n) == AURICLE_OK && n <= N_IDS);
    for (int32_t id = -2; id < 400; id++)
        (void)text_token_bytes(tokenizer, id, &bytes);
    (void)text_token_bytes(tokenizer, INT32_MAX, &bytes);
    au_buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    char folder[] = "/tmp/auricle-fuzz-XXXXXX";
    FUZZ_CHECK(mkdtemp(folder));
    const char *name = data[0] == 't'   ? "multilingual.tiktoken"
                       : data[0] == 'j' ? "tokenizer.json"
                                        : "vocab.json";
    char *path = au_path_join(folder, name);
    FILE *file = fopen(path, "wb");
    FUZZ_CHECK(file && fwrite(data + 1, 1, size - 1, file) == size - 1 && fclose(file) == 0);

    struct text_tokenizer *tokenizer;
    struct au_fault fault = {0};
    enum auricle_error error = data[0] == 't'
                                   ? text_tokenizer_from_tiktoken(path, 0, &tokenizer, &fault)
                                   : text_tokenizer_from_folder(folder, 0, &tokenizer, &fault);
    if (error) {
        FUZZ_CHECK(fault.text[0]);
    } else {
        use(tokenizer);
        text_tokenizer_destroy(tokenizer);
    }
    unlink(path);
    rmdir(folder);
    au_free(path);
    return 0;
}
