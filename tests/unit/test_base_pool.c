/* Unit tests of the worker pool and of the processor count. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cpu_count.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/pool.h"

enum { MAX_TASKS = 4096 };

struct tally {
    _Atomic int runs[MAX_TASKS];
    uint64_t value[MAX_TASKS];
    _Atomic int worst_worker;
    uint64_t salt;
};

static uint64_t mix(uint64_t x)
{
    x ^= x >> 31;
    x *= 0x9E3779B97F4A7C15u;
    return x ^ x >> 29;
}

static void count_task(void *context, size_t task, int worker)
{
    struct tally *t = context;
    atomic_fetch_add(&t->runs[task], 1);
    t->value[task] = mix(task + t->salt);
    int worst = atomic_load(&t->worst_worker);
    while (worker > worst && !atomic_compare_exchange_weak(&t->worst_worker, &worst, worker))
        continue;
}

/* Many short regions of changing size and context: each task runs exactly once, in its own
 * region. */
static void hammer(struct au_pool *pool, int n_regions)
{
    static struct tally tallies[2];
    for (int r = 0; r < n_regions; r++) {
        struct tally *t = &tallies[r & 1];
        size_t n = r % 97 == 0 ? MAX_TASKS : (size_t)(mix((uint64_t)r) % 9);
        memset(t, 0, sizeof *t);
        t->salt = (uint64_t)r << 20;
        au_pool_run(pool, n, count_task, t);
        for (size_t i = 0; i < MAX_TASKS; i++) {
            int expected = i < n;
            if (atomic_load(&t->runs[i]) != expected)
                fail_msg("region %d: task %zu ran %d times", r, i, atomic_load(&t->runs[i]));
            if (expected && t->value[i] != mix(i + t->salt))
                fail_msg("region %d: task %zu left a wrong value", r, i);
        }
        assert_in_range(atomic_load(&t->worst_worker), 0, au_pool_threads(pool) - 1);
    }
}

static void every_task_runs_once(void **state)
{
    (void)state;
    static const int threads[] = {1, 2, 3, 8};
    hammer(NULL, 200);
    for (size_t i = 0; i < sizeof threads / sizeof threads[0]; i++) {
        struct au_pool *pool;
        assert_int_equal(au_pool_create(threads[i], &pool), AURICLE_OK);
        assert_int_equal(au_pool_threads(pool), threads[i]);
        hammer(pool, 3000);
        au_pool_destroy(pool);
    }
}

static void idle_pools_come_and_go(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        struct au_pool *pool;
        assert_int_equal(au_pool_create(1 + i % 5, &pool), AURICLE_OK);
        if (i % 2)
            hammer(pool, 2);
        au_pool_destroy(pool);
    }
    au_pool_destroy(NULL);
    assert_int_equal(au_pool_threads(NULL), 1);
}

static void wrong_thread_counts_are_refused(void **state)
{
    (void)state;
    struct au_pool *pool = NULL;
    assert_int_equal(au_pool_create(0, &pool), AURICLE_E_INVALID);
    assert_int_equal(au_pool_create(-1, &pool), AURICLE_E_INVALID);
    assert_int_equal(au_pool_create(1 << 20, &pool), AURICLE_E_INVALID);
    assert_null(pool);
}

static void creation_survives_no_memory(void **state)
{
    (void)state;
    for (uint64_t n = 0; n < 2; n++) {
        struct au_pool *pool = NULL;
        au_mem_fail_at(n, false);
        enum auricle_error e = au_pool_create(2, &pool);
        au_mem_fail_never();
        assert_int_equal(e, AURICLE_E_NOMEM);
        assert_null(pool);
    }
}

/* ---- Processor count ------------------------------------------------------------------------- */

static char *scratch_folder(void)
{
    char *folder = au_strdup("/tmp/auricle-test-XXXXXX");
    assert_non_null(folder);
    assert_non_null(mkdtemp(folder));
    return folder;
}

static void put_file(const char *folder, const char *name, const char *text)
{
    struct au_fault fault = {0};
    char *path = au_path_join(folder, name);
    char *parent = au_strndup(path, (size_t)(au_path_name(path) - path));
    assert_int_equal(au_dir_make(parent, &fault), AURICLE_OK);
    assert_int_equal(au_file_write_atomic(path, text, strlen(text), &fault), AURICLE_OK);
    au_free(parent);
    au_free(path);
}

static void remove_folder(char *folder)
{
    char *command = au_sprintf("rm -r '%s'", folder);
    assert_int_equal(system(command), 0);
    au_free(command);
    au_free(folder);
}

static int quota_in(const char *folder)
{
    char *group = au_path_join(folder, "cgroup");
    int n = au_cpu_quota(group, folder);
    au_free(group);
    return n;
}

static void quota_of_cgroup_v2_is_the_tightest(void **state)
{
    (void)state;
    char *folder = scratch_folder();
    assert_int_equal(quota_in(folder), 0);
    put_file(folder, "cgroup", "0::/a/b\n");
    assert_int_equal(quota_in(folder), 0);
    put_file(folder, "a/b/cpu.max", "max 100000\n");
    assert_int_equal(quota_in(folder), 0);
    put_file(folder, "a/cpu.max", "250000 100000\n");
    assert_int_equal(quota_in(folder), 3);
    put_file(folder, "a/b/cpu.max", "50000 100000\n");
    assert_int_equal(quota_in(folder), 1);
    put_file(folder, "a/b/cpu.max", "900000 100000\n");
    assert_int_equal(quota_in(folder), 3);
    put_file(folder, "cpu.max", "garbage\n");
    assert_int_equal(quota_in(folder), 3);
    remove_folder(folder);
}

static void quota_of_cgroup_v1_is_read(void **state)
{
    (void)state;
    char *folder = scratch_folder();
    put_file(folder, "cgroup", "11:cpuset:/x\n4:cpu,cpuacct:/docker/1\n1:name=systemd:/\n");
    put_file(folder, "cpu/cpu.cfs_quota_us", "-1\n");
    put_file(folder, "cpu/cpu.cfs_period_us", "100000\n");
    assert_int_equal(quota_in(folder), 0);
    put_file(folder, "cpu/cpu.cfs_quota_us", "150000\n"); /* the group itself is out of sight */
    assert_int_equal(quota_in(folder), 2);
    put_file(folder, "cpu/docker/1/cpu.cfs_quota_us", "100000\n");
    put_file(folder, "cpu/docker/1/cpu.cfs_period_us", "100000\n");
    assert_int_equal(quota_in(folder), 1);
    remove_folder(folder);
}

static void cpu_count_is_at_least_one(void **state)
{
    (void)state;
    assert_in_range(au_cpu_count(), 1, 65536);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_task_runs_once),
        cmocka_unit_test(idle_pools_come_and_go),
        cmocka_unit_test(wrong_thread_counts_are_refused),
        cmocka_unit_test(creation_survives_no_memory),
        cmocka_unit_test(quota_of_cgroup_v2_is_the_tightest),
        cmocka_unit_test(quota_of_cgroup_v1_is_read),
        cmocka_unit_test(cpu_count_is_at_least_one),
    };
    return cmocka_run_group_tests_name("base_pool", tests, NULL, NULL);
}
