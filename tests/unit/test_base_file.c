/* Unit tests of file reading, mapping, atomic writing and paths, and of the log's escaping. */
#include "support/support.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"

static struct {
    char *folder;
} scratch;

static int make_scratch(void **state)
{
    (void)state;
    scratch.folder = au_test_scratch_folder();
    return 0;
}

static int remove_scratch(void **state)
{
    (void)state;
    au_test_scratch_remove(scratch.folder);
    return 0;
}

static void read_keeps_the_limit(void **state)
{
    (void)state;
    char *path = au_test_write(scratch.folder, "a", "12345", 5);
    char *text = NULL;
    size_t n = 0;
    struct au_fault fault = {0};
    assert_int_equal(au_file_read(path, 4, &text, &n, &fault), AURICLE_E_LIMIT);
    assert_non_null(strstr(fault.text, path));
    assert_null(text);
    au_test_ok(au_file_read(path, 5, &text, &n, &fault), &fault);
    assert_int_equal(n, 5);
    assert_string_equal(text, "12345");
    au_free(text);
    au_free(path);

    path = au_test_write(scratch.folder, "empty", "", 0);
    au_test_ok(au_file_read(path, 0, &text, &n, &fault), &fault);
    assert_int_equal(n, 0);
    assert_string_equal(text, "");
    au_free(text);
    au_free(path);
}

static void read_takes_files_without_a_size(void **state)
{
    (void)state;
    char *text = NULL;
    size_t n = 0;
    struct au_fault fault = {0};
    au_test_ok(au_file_read("/proc/self/maps", 10 << 20, &text, &n, &fault), &fault);
    assert_true(n > 100 && strlen(text) == n);
    au_free(text);
    assert_int_equal(au_file_read("/proc/self/maps", 50, &text, &n, &fault), AURICLE_E_LIMIT);
}

static void unfit_paths_are_refused_with_their_name(void **state)
{
    (void)state;
    char *fifo = au_path_join(scratch.folder, "fifo");
    char *missing = au_path_join(scratch.folder, "missing");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    const struct {
        const char *path;
        enum auricle_error code;
    } cases[] = {
        {missing, AURICLE_E_NOT_FOUND},
        {scratch.folder, AURICLE_E_INVALID},
        {fifo, AURICLE_E_INVALID}, /* must not block */
        {"", AURICLE_E_NOT_FOUND},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct au_fault fault = {0};
        struct au_file_map map = {0};
        char *text;
        size_t n;
        assert_int_equal(au_file_read(cases[i].path, 100, &text, &n, &fault), cases[i].code);
        assert_non_null(strstr(fault.text, cases[i].path));
        assert_int_equal(au_file_map_open(cases[i].path, &map, &fault), cases[i].code);
        assert_null(map.data);
        au_file_map_close(&map);
    }
    au_free(fifo);
    au_free(missing);
}

static void map_shows_the_file(void **state)
{
    (void)state;
    char *path = au_test_write(scratch.folder, "map", "abc", 3);
    struct au_file_map map = {0};
    struct au_fault fault = {0};
    au_test_ok(au_file_map_open(path, &map, &fault), &fault);
    assert_int_equal(map.bytes, 3);
    assert_memory_equal(map.data, "abc", 3);
    au_file_map_close(&map);
    au_file_map_close(&map);
    au_free(path);
    path = au_test_write(scratch.folder, "nothing", "", 0);
    assert_int_equal(au_file_map_open(path, &map, &fault), AURICLE_E_FORMAT);
    au_free(path);
}

/* Pages of files that are resident in this process, from /proc/self/statm. */
static long resident_file_pages(void)
{
    char line[256];
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof line, f));
    fclose(f);
    const char *at = strchr(line, ' '); /* all pages, resident ones, those of files */
    assert_non_null(at);
    at = strchr(at + 1, ' ');
    assert_non_null(at);
    while (*++at >= '0' && *at <= '9')
        pages = 10 * pages + (*at - '0');
    return pages;
}

static unsigned sum_of_pages(const struct au_file_map *map)
{
    unsigned sum = 0;
    for (size_t i = 0; i < map->bytes; i += 4096)
        sum += map->data[i];
    return sum;
}

static void forgotten_pages_come_back(void **state)
{
    enum { BYTES = 8 << 20 };
    (void)state;
    char *data = au_alloc(BYTES);
    struct au_file_map map = {0};
    struct au_fault fault = {0};
    assert_non_null(data);
    memset(data, 7, BYTES);
    char *path = au_test_write(scratch.folder, "large", data, BYTES);
    au_test_ok(au_file_map_open(path, &map, &fault), &fault);
    assert_int_equal(sum_of_pages(&map), 7 * (BYTES / 4096));
    long before = resident_file_pages();
    au_file_map_forget(&map);
    assert_true(resident_file_pages() <= before - BYTES / 4096 / 2);
    assert_int_equal(sum_of_pages(&map), 7 * (BYTES / 4096));
    au_file_map_close(&map);
    au_free(data);
    au_free(path);
}

static void atomic_write_replaces(void **state)
{
    (void)state;
    char *path = au_path_join(scratch.folder, "out.txt");
    struct au_fault fault = {0};
    for (int i = 0; i < 3; i++) {
        char *text = au_sprintf("version %d", i), *back = NULL;
        size_t n = 0;
        au_test_ok(au_file_write_atomic(path, text, strlen(text), &fault), &fault);
        au_test_ok(au_file_read(path, 100, &back, &n, &fault), &fault);
        assert_string_equal(back, text);
        au_free(back);
        au_free(text);
    }
    char *temporary = au_sprintf("%s.tmp-%ld", path, (long)getpid());
    assert_false(au_file_exists(temporary));
    /* A file that a crashed process of our number left behind does not stand in the way. */
    char *left = au_sprintf("out.txt.tmp-%ld", (long)getpid());
    char *left_path = au_test_write(scratch.folder, left, "old", 3);
    au_test_ok(au_file_write_atomic(path, "", 0, &fault), &fault);
    assert_false(au_file_exists(temporary));
    au_free(left);
    au_free(left_path);
    au_free(temporary);
    au_free(path);
}

static void atomic_write_reports_what_stops_it(void **state)
{
    (void)state;
    struct au_fault fault = {0};
    char *path = au_path_join(scratch.folder, "no/such/folder.txt");
    assert_int_equal(au_file_write_atomic(path, "x", 1, &fault), AURICLE_E_NOT_FOUND);
    au_free(path);
    assert_int_equal(au_file_write_atomic(scratch.folder, "x", 1, &fault), AURICLE_E_INVALID);
    assert_int_equal(au_file_write_atomic("/dev/null", "x", 1, &fault), AURICLE_E_INVALID);
    assert_true(au_file_exists("/dev/null"));
}

/* In a child whose file size is limited, so that the write runs out of room after some bytes. */
static void atomic_write_keeps_the_old_file_when_room_runs_out(void **state)
{
    (void)state;
    char *path = au_test_write(scratch.folder, "kept", "old", 3);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit limit = {100, 100};
        setrlimit(RLIMIT_FSIZE, &limit);
        signal(SIGXFSZ, SIG_IGN);
        char block[1000] = {0};
        enum auricle_error e = au_file_write_atomic(path, block, sizeof block, NULL);
        _exit(e == AURICLE_E_NO_SPACE ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    char *temporary = au_sprintf("%s.tmp-%ld", path, (long)child);
    assert_false(au_file_exists(temporary));
    size_t n;
    char *text = au_test_read(path, &n);
    assert_string_equal(text, "old");
    au_free(text);
    au_free(temporary);
    au_free(path);
}

static void folders_are_made_with_parents(void **state)
{
    (void)state;
    struct au_fault fault = {0};
    char *path = au_path_join(scratch.folder, "new/b//c/");
    au_test_ok(au_dir_make(path, &fault), &fault);
    au_test_ok(au_dir_make(path, &fault), &fault);
    assert_true(au_file_is_dir(path));
    assert_false(au_file_is_regular(path));
    char *file = au_test_write(scratch.folder, "file", "", 0);
    assert_true(au_file_is_regular(file));
    char *below = au_path_join(file, "x");
    assert_int_not_equal(au_dir_make(below, &fault), AURICLE_OK);
    assert_int_equal(au_dir_make("", &fault), AURICLE_E_INVALID);
    au_free(below);
    au_free(file);
    au_free(path);
}

static void paths_are_joined_and_split(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"", "b", "b"}, {"/", "b", "/b"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *path = au_path_join(cases[i][0], cases[i][1]);
        assert_string_equal(path, cases[i][2]);
        assert_string_equal(au_path_name(path), "b");
        au_free(path);
    }
    assert_string_equal(au_path_name("a/"), "");
    char *folder = au_path_executable_folder();
    assert_true(folder && au_file_is_dir(folder));
    au_free(folder);
}

static enum auricle_error write_and_read(void *context)
{
    char *text = NULL;
    size_t n;
    enum auricle_error e = au_file_write_atomic(context, "abc", 3, NULL);
    if (!e)
        e = au_file_read(context, 100, &text, &n, NULL);
    if (!e)
        e = au_dir_make(scratch.folder, NULL);
    au_free(text);
    return e;
}

static void files_survive_every_allocation_failure(void **state)
{
    (void)state;
    char *path = au_path_join(scratch.folder, "fault");
    /* The folder's name for fsync is the one allocation whose failure is harmless: then the write
     * succeeds without it, so only the codes of the others are looked at here.                  */
    for (uint64_t n = 0; n < 8; n++) {
        au_mem_fail_at(n, false);
        enum auricle_error e = write_and_read(path);
        au_mem_fail_never();
        assert_true(e == AURICLE_OK || e == AURICLE_E_NOMEM);
    }
    au_mem_fail_at(0, true);
    enum auricle_error e = write_and_read(path);
    au_mem_fail_never();
    assert_int_equal(e, AURICLE_E_NOMEM);
    au_free(path);
}

static void log_lines_are_one_line(void **state)
{
    (void)state;
    char *path = au_path_join(scratch.folder, "log");
    int saved = dup(STDERR_FILENO), fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(saved >= 0 && fd >= 0);
    char *long_text = au_calloc(1, 10001);
    memset(long_text, '\n', 10000);
    dup2(fd, STDERR_FILENO);
    au_log_init(AU_LOG_INFO);
    au_log(AU_LOG_DEBUG, "not shown");
    au_log(AU_LOG_WARN, "a\nb\x1b[0m %s", "é");
    au_log(AU_LOG_ERROR, "%s", long_text);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(fd);
    size_t n;
    char *text = au_test_read(path, &n);
    assert_string_equal(text + 24, strstr(text, " WARN "));
    assert_non_null(strstr(text, " WARN a\\nb\\x1b[0m é\n"));
    assert_null(strstr(text, "not shown"));
    char *second = strchr(text, '\n') + 1;
    assert_true(strncmp(second + 24, " ERROR \\n\\n", 11) == 0);
    assert_true(strlen(second) <= 4096 && strchr(second, '\n') == second + strlen(second) - 1);
    au_free(text);
    au_free(long_text);
    au_free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(read_keeps_the_limit),
        cmocka_unit_test(read_takes_files_without_a_size),
        cmocka_unit_test(unfit_paths_are_refused_with_their_name),
        cmocka_unit_test(map_shows_the_file),
        cmocka_unit_test(forgotten_pages_come_back),
        cmocka_unit_test(atomic_write_replaces),
        cmocka_unit_test(atomic_write_reports_what_stops_it),
        cmocka_unit_test(atomic_write_keeps_the_old_file_when_room_runs_out),
        cmocka_unit_test(folders_are_made_with_parents),
        cmocka_unit_test(paths_are_joined_and_split),
        cmocka_unit_test(files_survive_every_allocation_failure),
        cmocka_unit_test(log_lines_are_one_line),
    };
    return cmocka_run_group_tests_name("base_file", tests, make_scratch, remove_scratch);
}
