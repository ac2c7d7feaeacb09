/* Runs a fuzz target without libFuzzer: replay SEED_FOLDER N_DAMAGED [INPUT...].
 *
 * Feeds every file of the folder, then N_DAMAGED copies of each with bytes changed, cut out or
 * repeated, from a fixed seed; or the given inputs alone, to look at a crash again. A copy lies
 * in a block of exactly its size, so that the address sanitizer sees reads past the end.         */
#include <dirent.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "fuzz.h"

#define MAX_SEED_BYTES ((size_t)1 << 20)

static uint64_t random_state = 1;

static uint64_t random_below(uint64_t n)
{
    uint64_t x = random_state += 0x9E3779B97F4A7C15u;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return (x ^ x >> 31) % n;
}

static void feed(const uint8_t *data, size_t n)
{
    uint8_t *copy = au_alloc(n);
    FUZZ_CHECK(copy);
    memcpy(copy, data, n);
    LLVMFuzzerTestOneInput(copy, n);
    au_free(copy);
}

/* One change at a random place: half of all changes fall into the first 512 bytes, where headers
 * are. */
static size_t damage(uint8_t *data, size_t n)
{
    static const uint32_t values[] = {0, 1, 0x7F, 0x80, 0xFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF};
    size_t range = n > 512 && random_below(2) ? 512 : n;
    size_t at = random_below(range);
    switch (random_below(5)) {
    case 0: data[at] ^= (uint8_t)(1u << random_below(8)); return n;
    case 1: data[at] = (uint8_t)random_below(256); return n;
    case 2: {
        uint32_t value = values[random_below(sizeof values / sizeof values[0])];
        memcpy(data + at, &value, n - at < 4 ? n - at : 4);
        return n;
    }
    case 3: { /* cut a piece out */
        size_t length = 1 + random_below(n - at);
        memmove(data + at, data + at + length, n - at - length);
        return n - length;
    }
    default: { /* write a piece over another place */
        size_t from = random_below(n), length = 1 + random_below(64);
        size_t most = n - (from > at ? from : at);
        memmove(data + at, data + from, length < most ? length : most);
        return n;
    }
    }
}

static void run_seed(const char *path, uint64_t n_damaged)
{
    char *seed;
    size_t n;
    struct au_fault fault = {0};
    if (au_file_read(path, MAX_SEED_BYTES, &seed, &n, &fault)) {
        fprintf(stderr, "%s\n", fault.text);
        exit(2);
    }
    feed((const uint8_t *)seed, n);
    uint8_t *copy = au_alloc(n);
    FUZZ_CHECK(copy);
    for (uint64_t i = 0; i < n_damaged && n > 0; i++) {
        memcpy(copy, seed, n);
        size_t left = n;
        for (uint64_t k = 1 + random_below(4); k > 0 && left > 0; k--)
            left = damage(copy, left);
        feed(copy, left);
    }
    au_free(copy);
    au_free(seed);
}

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
    uint64_t n_damaged;
    struct dirent **entries;
    if (argc < 3 || !au_parse_u64(argv[2], &n_damaged)) {
        fprintf(stderr, "usage: %s SEED_FOLDER N_DAMAGED [INPUT...]\n", argv[0]);
        return 2;
    }
    for (int i = 3; i < argc; i++)
        run_seed(argv[i], 0);
    if (argc > 3)
        return 0;
    int n = scandir(argv[1], &entries, visible, alphasort);
    if (n <= 0) {
        fprintf(stderr, "%s: no seeds\n", argv[1]);
        return 2;
    }
    for (int i = 0; i < n; i++) {
        char *path = au_path_join(argv[1], entries[i]->d_name);
        run_seed(path, n_damaged);
        au_free(path);
        free(entries[i]);
    }
    free(entries);
    printf("%d seeds, %llu damaged copies of each\n", n, (unsigned long long)n_damaged);
    return 0;
}
