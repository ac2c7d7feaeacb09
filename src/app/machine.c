/* Reading /proc and /sys. See machine.h. */
#include "app/machine.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"

/* Files of /proc have no length: read what comes, as a string. */
static size_t read_text(const char *path, char *out, size_t out_bytes)
{
    size_t n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && n + 1 < out_bytes) {
        ssize_t got = read(fd, out + n, out_bytes - 1 - n);
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    if (fd >= 0)
        close(fd);
    out[n] = 0;
    return n;
}

/* The rest of the line that begins with `key`, without ":" and spaces; false when absent. */
static bool line_value(const char *text, const char *key, char *out, size_t out_bytes)
{
    size_t n = strlen(key);
    const char *line = text;
    while (line && strncmp(line, key, n) != 0) {
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    if (!line)
        return false;
    line += n;
    line += strspn(line, " \t:");
    snprintf(out, out_bytes, "%.*s", (int)strcspn(line, "\n"), line);
    return true;
}

static bool has_word(const char *words, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = words; (at = strstr(at, word)); at += n)
        if ((at == words || at[-1] == ' ') && (at[n] == ' ' || at[n] == 0))
            return true;
    return false;
}

static void look_at_processor(struct app_machine *out)
{
    static const char *const telling[] = {
        "sse4_2",   "avx",      "avx2",        "fma",         "f16c",     "avx_vnni", "avx512f",
        "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_int8", "amx_bf16",
        "asimd",    "asimdhp",  "asimddp",     "i8mm",        "bf16"};
    char text[16384], flags[8192] = "";
    read_text("/proc/cpuinfo", text, sizeof text);
    line_value(text, "model name", out->processor, sizeof out->processor);
    if (!line_value(text, "flags", flags, sizeof flags))
        line_value(text, "Features", flags, sizeof flags);
    size_t n = 0;
    for (size_t i = 0; i < sizeof telling / sizeof telling[0]; i++)
        if (has_word(flags, telling[i]) && n + 1 < sizeof out->features)
            n += (size_t)snprintf(out->features + n, sizeof out->features - n, "%s%s", n ? " " : "",
                                  telling[i]);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    out->n_processors = online > 0 ? (int)online : 0;
}

static uint64_t kibibytes(const char *text, const char *key)
{
    char value[64];
    uint64_t n = 0;
    if (!line_value(text, key, value, sizeof value))
        return 0;
    value[strcspn(value, " ")] = 0;
    return au_parse_u64(value, &n) ? n * 1024 : 0;
}

static void look_at_memory(struct app_machine *out)
{
    char text[4096];
    read_text("/proc/meminfo", text, sizeof text);
    out->memory_bytes = kibibytes(text, "MemTotal");
    out->available_bytes = kibibytes(text, "MemAvailable");
    static const char *const limits[] = {"/sys/fs/cgroup/memory.max",
                                         "/sys/fs/cgroup/memory/memory.limit_in_bytes"};
    for (size_t i = 0; i < 2; i++) {
        read_text(limits[i], text, sizeof text);
        text[strcspn(text, "\n")] = 0;
        uint64_t limit;
        if (au_parse_u64(text, &limit) && limit < out->memory_bytes)
            out->memory_limit_bytes = limit;
    }
}

static void look_at_locale(struct app_machine *out)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    const char *locale = NULL;
    for (size_t i = 0; i < 3 && (!locale || !*locale); i++)
        locale = getenv(names[i]);
    au_str_copy(out->locale, sizeof out->locale, locale && *locale ? locale : "C");
    const char *dot = strrchr(out->locale, '.');
    out->utf8 = dot && (au_str_equal_nocase(dot, ".UTF-8") || au_str_equal_nocase(dot, ".UTF8"));
}

void app_machine_look(struct app_machine *out)
{
    memset(out, 0, sizeof *out);
    look_at_processor(out);
    look_at_memory(out);
    look_at_locale(out);
    out->nvidia = au_file_exists("/proc/driver/nvidia/version");
}
