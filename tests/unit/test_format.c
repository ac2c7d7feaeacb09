/* Tests of src/format: every file kind, built in memory, whole and damaged. */
#include "test_format.h"

int main(void)
{
    int failed = 0;
    failed += test_format_convert();
    failed += test_format_safetensors();
    failed += test_format_folder();
    failed += test_format_config();
    failed += test_format_ggml();
    failed += test_format_ctranslate2();
    failed += test_format_pytorch();
    failed += test_format_packed();
    return failed ? 1 : 0;
}
