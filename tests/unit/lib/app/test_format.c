#include "harness.h"
#include "app/format.h"

START_TEST(test_three_digits_and_a_unit) {
    ck_assert_str_eq(format_bytes(0).text, "0 B");
    ck_assert_str_eq(format_bytes(999).text, "999 B");
    ck_assert_str_eq(format_bytes(1000).text, "1.00 kB");
    ck_assert_str_eq(format_bytes(5678000).text, "5.68 MB");
    ck_assert_str_eq(format_bytes(56780000).text, "56.8 MB");
    ck_assert_str_eq(format_bytes(567800000).text, "568 MB");
    ck_assert_str_eq(format_bytes(999600000).text, "1.00 GB");
    ck_assert_str_eq(format_bytes(UINT64_MAX).text, "18.4 EB");
    ck_assert_str_eq(format_quantity(850).text, "850");
    ck_assert_str_eq(format_quantity(12345).text, "12.3k");
    ck_assert_str_eq(format_quantity(1.84e6).text, "1.84M");
}
END_TEST

START_TEST(test_seconds) {
    ck_assert_str_eq(format_seconds(0).text, "0:00");
    ck_assert_str_eq(format_seconds(41.6).text, "0:42");
    ck_assert_str_eq(format_seconds(3599.6).text, "1:00:00");
    ck_assert_str_eq(format_seconds(11050).text, "3:04:10");
    ck_assert_str_eq(format_seconds(1e30).text, "99:59:59");
    ck_assert_str_eq(format_seconds(-1).text, "99:59:59");
}
END_TEST

START_TEST(test_groups_of_digits) {
    ck_assert_str_eq(format_grouped(0).text, "0");
    ck_assert_str_eq(format_grouped(999).text, "999");
    ck_assert_str_eq(format_grouped(32000).text, "32,000");
    ck_assert_str_eq(format_grouped(1234567).text, "1,234,567");
    ck_assert_str_eq(format_grouped(999999999999999).text, "999,999,999,999,999");
    ck_assert_str_eq(format_grouped(UINT64_MAX).text, "18446744073709551615");
}
END_TEST

START_TEST(test_types_as_flags_spell_them) {
    ck_assert_str_eq(format_dtype(RA_F16).text, "f16");
    ck_assert_str_eq(format_dtype(RA_BF16).text, "bf16");
}
END_TEST

START_TEST(test_control_characters_do_not_reach_a_terminal) {
    char line[64] = "";
    FILE *file = tmpfile();
    ck_assert_ptr_nonnull(file);
    print_clean(file, "a\x1b[31m\n\x7f na\xc3\xafve");
    rewind(file);
    ck_assert_ptr_nonnull(fgets(line, sizeof line, file));
    ck_assert_str_eq(line, "a?[31m?? na\xc3\xafve");
    ck_assert_int_eq(fclose(file), 0);
}
END_TEST

TEST_CASES(format, test_three_digits_and_a_unit, test_seconds, test_groups_of_digits,
           test_types_as_flags_spell_them, test_control_characters_do_not_reach_a_terminal)
