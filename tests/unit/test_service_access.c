/* service: API keys, how often and how many at once. Time is the test's own. */
#include "support/support.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "base/log.h"
#include "service/access/access.h"

#define KEY_A "alpha-0123456789abcdef"
#define KEY_B "beta-0123456789abcdef"
#define KEY_C "gamma-0123456789abcdef"

static _Atomic int64_t now = 1;

static int64_t test_clock(void)
{
    return now;
}

static void pass_seconds(double seconds)
{
    now += (int64_t)(seconds * 1e9);
}

static struct service_access *open_keys(const char *file, const char *keys)
{
    const struct service_access_config config = {file, keys, test_clock};
    struct service_access *access = NULL;
    struct au_fault fault = {0};
    if (service_access_create(&config, &access, &fault) != AURICLE_OK)
        fail_msg("%s", fault.text);
    return access;
}

static enum auricle_error try(struct service_access *access, const char *key,
                              struct service_grant **grant, double *retry)
{
    struct au_fault fault = {0};
    enum auricle_error error = service_access_check(access, key, grant, retry, &fault);
    assert_int_equal(fault.code, error);
    return error;
}

static struct service_grant *enter(struct service_access *access, const char *key)
{
    struct service_grant *grant = NULL;
    double retry = 0;
    assert_int_equal(try(access, key, &grant, &retry), AURICLE_OK);
    return grant;
}

static void without_keys_everybody_comes_in(void **state)
{
    (void)state;
    struct service_access *access = open_keys(NULL, NULL);
    assert_int_equal(service_access_count(access), 0);
    assert_null(enter(access, NULL));
    assert_null(enter(access, "anything"));
    service_access_leave(access, NULL);
    service_access_destroy(access);
}

static void only_the_right_key_opens(void **state)
{
    (void)state;
    struct service_access *access = open_keys(NULL, "a:" KEY_A " " KEY_B "\nc:" KEY_C ":0:0");
    assert_int_equal(service_access_count(access), 3);
    const char *const right[] = {KEY_A, KEY_B, KEY_C};
    const char *const wrong[] = {
        NULL, "", "a", "a:" KEY_A, KEY_A "x", " " KEY_A, "alpha-0123456789abcdeF"};
    for (size_t i = 0; i < 3; i++)
        service_access_leave(access, enter(access, right[i]));
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct service_grant *grant = NULL;
        double retry = 0;
        assert_int_equal(try(access, wrong[i], &grant, &retry), AURICLE_E_INVALID);
        assert_null(grant);
    }
    service_access_destroy(access);
}

static void too_often_is_refused_until_time_has_passed(void **state)
{
    (void)state;
    struct service_access *access = open_keys(NULL, "a:" KEY_A ":6 b:" KEY_B ":6");
    struct service_grant *grant = NULL;
    double retry = 0;
    for (int i = 0; i < 6; i++)
        service_access_leave(access, enter(access, KEY_A));
    assert_int_equal(try(access, KEY_A, &grant, &retry), AURICLE_E_LIMIT);
    assert_float_equal(retry, 10, 1e-6);
    service_access_leave(access, enter(access, KEY_B)); /* another's limit is another's */
    pass_seconds(4);
    assert_int_equal(try(access, KEY_A, &grant, &retry), AURICLE_E_LIMIT);
    assert_float_equal(retry, 6, 1e-6);
    pass_seconds(6.001);
    service_access_leave(access, enter(access, KEY_A));
    assert_int_equal(try(access, KEY_A, &grant, &retry), AURICLE_E_LIMIT);
    pass_seconds(1e6); /* no more than a minute's worth is saved up */
    for (int i = 0; i < 6; i++)
        service_access_leave(access, enter(access, KEY_A));
    assert_int_equal(try(access, KEY_A, &grant, &retry), AURICLE_E_LIMIT);
    service_access_destroy(access);
}

static void too_many_at_once_are_refused(void **state)
{
    (void)state;
    struct service_access *access = open_keys(NULL, "a:" KEY_A ":0:2");
    struct service_grant *first = enter(access, KEY_A), *second = enter(access, KEY_A), *third;
    double retry = 0;
    assert_int_equal(try(access, KEY_A, &third, &retry), AURICLE_E_LIMIT);
    assert_true(retry > 0);
    service_access_leave(access, first);
    third = enter(access, KEY_A);
    service_access_leave(access, second);
    service_access_leave(access, third);
    service_access_destroy(access);
}

static void reload(struct service_access *access, const char *folder, const char *text,
                   enum auricle_error expected)
{
    struct au_fault fault = {0};
    au_free(au_test_write(folder, "keys", text, strlen(text)));
    assert_int_equal(service_access_reload(access, &fault), expected);
    assert_null(strstr(fault.text, "0123456789")); /* keys stay out of sentences */
}

static void reloading_keeps_what_is_in_flight(void **state)
{
    (void)state;
    char *folder = au_test_scratch_folder();
    const char *text = "# people\n\n a:" KEY_A ":0:1 \r\nb:" KEY_B;
    char *path = au_test_write(folder, "keys", text, strlen(text));
    struct service_access *access = open_keys(path, NULL);
    struct service_grant *a = enter(access, KEY_A), *b = enter(access, KEY_B), *none = NULL;
    double retry = 0;

    reload(access, folder, "a:" KEY_A ":0:1\nc:" KEY_C "\n", AURICLE_OK);
    assert_int_equal(try(access, KEY_B, &none, &retry), AURICLE_E_INVALID);
    assert_int_equal(try(access, KEY_A, &none, &retry), AURICLE_E_LIMIT); /* still counted */
    service_access_leave(access, b); /* of a key that is gone */
    service_access_leave(access, a);
    a = enter(access, KEY_A);

    reload(access, folder, "a:" KEY_A ":x\n", AURICLE_E_INVALID);
    reload(access, folder, "a:short\n", AURICLE_E_INVALID);
    reload(access, folder, "a:" KEY_A ":1:2:3\n", AURICLE_E_INVALID);
    reload(access, folder, "a:" KEY_A "\nb:" KEY_A "\n", AURICLE_E_INVALID);
    reload(access, folder, "# nobody\n", AURICLE_E_INVALID);
    service_access_leave(access, enter(access, KEY_C)); /* the old keys hold */
    reload(access, folder, "a:" KEY_A ":0:5\n", AURICLE_OK);
    service_access_leave(access, enter(access, KEY_A)); /* the new limit */
    service_access_leave(access, a);
    service_access_destroy(access);
    au_free(path);
    au_test_scratch_remove(folder);
}

#define N_ROUNDS 2000

static void *come_and_go(void *context)
{
    struct service_access *access = context;
    intptr_t n_inside = 0;
    for (int i = 0; i < N_ROUNDS; i++) {
        struct service_grant *grant = NULL;
        double retry = 0;
        if (try(access, KEY_A, &grant, &retry) == AURICLE_OK) {
            n_inside++;
            service_access_leave(access, grant);
        }
    }
    return (void *)n_inside;
}

/* A rate holds among threads to the very request: the clock stands still. */
static void a_rate_holds_among_threads(void **state)
{
    (void)state;
    struct service_access *access = open_keys(NULL, "a:" KEY_A ":700:2");
    pthread_t threads[4];
    intptr_t total = 0;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, access), 0);
    for (int i = 0; i < 4; i++) {
        void *n;
        pthread_join(threads[i], &n);
        total += (intptr_t)n;
    }
    assert_int_equal(total, 700);
    service_access_destroy(access);
}

static void a_lack_of_memory_is_an_error(void **state)
{
    (void)state;
    const struct service_access_config config = {NULL, "a:" KEY_A " b:" KEY_B, test_clock};
    enum auricle_error error = AURICLE_E_NOMEM;
    for (uint64_t i = 0; error; i++) {
        struct service_access *access = NULL;
        struct au_fault fault = {0};
        au_mem_fail_at(i, false);
        error = service_access_create(&config, &access, &fault);
        au_mem_fail_never();
        assert_true(error == AURICLE_OK || error == AURICLE_E_NOMEM);
        service_access_destroy(access);
        assert_true(i < 50);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_keys_everybody_comes_in),
        cmocka_unit_test(only_the_right_key_opens),
        cmocka_unit_test(too_often_is_refused_until_time_has_passed),
        cmocka_unit_test(too_many_at_once_are_refused),
        cmocka_unit_test(reloading_keeps_what_is_in_flight),
        cmocka_unit_test(a_rate_holds_among_threads),
        cmocka_unit_test(a_lack_of_memory_is_an_error),
    };
    au_log_init(AU_LOG_OFF);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
