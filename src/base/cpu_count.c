/* How many processors this process may really use. See pool.h and cpu_count.h.
 *
 * The affinity mask says which processors the scheduler may choose, the cgroup quota how much time
 * they may spend. A container with "2 CPUs" on a 64-way host has the second limit only, and one
 * thread per visible processor would be throttled there. Sources: cgroups(7), and the kernel's
 * cgroup-v2.rst (cpu.max) and sched-bwc.rst (cpu.cfs_quota_us).                                  */
#include "base/cpu_count.h"

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/pool.h"
#include "base/str.h"

#define MASK_BYTES 4096 /* 32768 processors */
#define PATH_BYTES 1024
#define LINE_BYTES 512

static int affinity_count(void)
{
    union {
        cpu_set_t set;
        unsigned char bytes[MASK_BYTES];
    } mask;
    memset(&mask, 0, sizeof mask);
    if (sched_getaffinity(0, sizeof mask, &mask.set) == 0)
        return CPU_COUNT_S(sizeof mask, &mask.set);
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 && n < MASK_BYTES * 8 ? (int)n : 1;
}

static bool read_line(const char *path, char out[LINE_BYTES])
{
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    bool got = fgets(out, LINE_BYTES, f) != NULL;
    fclose(f);
    if (got)
        out[strcspn(out, "\n")] = '\0';
    return got;
}

static int round_up_quota(int64_t quota_us, int64_t period_us)
{
    if (quota_us <= 0 || period_us <= 0 || quota_us / period_us > 32768)
        return 0;
    return (int)((quota_us + period_us - 1) / period_us);
}

/* "200000 100000" or "max 100000" in folder/cpu.max. */
static int quota_v2(const char *folder)
{
    char path[PATH_BYTES + 32], line[LINE_BYTES];
    int64_t quota, period;
    snprintf(path, sizeof path, "%s/cpu.max", folder);
    if (!read_line(path, line))
        return 0;
    char *space = strchr(line, ' ');
    if (!space)
        return 0;
    *space = '\0';
    if (!au_parse_i64(line, &quota) || !au_parse_i64(space + 1, &period))
        return 0;
    return round_up_quota(quota, period);
}

static int quota_v1(const char *folder)
{
    char path[PATH_BYTES + 32], quota_text[LINE_BYTES], period_text[LINE_BYTES];
    int64_t quota, period;
    snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", folder);
    if (!read_line(path, quota_text))
        return 0;
    snprintf(path, sizeof path, "%s/cpu.cfs_period_us", folder);
    if (!read_line(path, period_text))
        return 0;
    if (!au_parse_i64(quota_text, &quota) || !au_parse_i64(period_text, &period))
        return 0;
    return round_up_quota(quota, period);
}

static int smaller_limit(int a, int b)
{
    if (a == 0 || b == 0)
        return a + b;
    return a < b ? a : b;
}

/* Limits of every group from root/group up to root itself count: the tightest one holds. */
static int quota_along_path(const char *root, const char *group, int (*quota)(const char *folder))
{
    char folder[PATH_BYTES];
    int n = snprintf(folder, sizeof folder, "%s%s", root, group);
    if (n < 0 || (size_t)n >= sizeof folder)
        return quota(root);
    int limit = 0;
    for (size_t root_length = strlen(root);;) {
        limit = smaller_limit(limit, quota(folder));
        char *slash = strrchr(folder, '/');
        if (!slash || (size_t)(slash - folder) < root_length)
            return limit;
        *slash = '\0';
    }
}

/* Whether the comma-separated controller list names "cpu". */
static bool names_cpu(const char *list)
{
    for (const char *p = list; p; p = strchr(p, ',')) {
        p += *p == ',';
        size_t n = strcspn(p, ",");
        if (n == 3 && memcmp(p, "cpu", 3) == 0)
            return true;
    }
    return false;
}

int au_cpu_quota(const char *proc_cgroup, const char *sys_root)
{
    FILE *f = fopen(proc_cgroup, "re");
    if (!f)
        return 0;
    int limit = 0;
    char line[LINE_BYTES + PATH_BYTES];
    while (fgets(line, sizeof line, f)) { /* "hierarchy:controllers:/path" */
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group || group[1] != '/')
            continue;
        *controllers++ = '\0';
        *group++ = '\0';
        if (!*controllers) {
            limit = smaller_limit(limit, quota_along_path(sys_root, group, quota_v2));
        } else if (names_cpu(controllers)) {
            char root[PATH_BYTES];
            snprintf(root, sizeof root, "%s/cpu", sys_root);
            limit = smaller_limit(limit, quota_along_path(root, group, quota_v1));
        }
    }
    fclose(f);
    return limit;
}

int au_cpu_count(void)
{
    int n = smaller_limit(affinity_count(), au_cpu_quota("/proc/self/cgroup", "/sys/fs/cgroup"));
    return n > 0 ? n : 1;
}
