/* SPDX-License-Identifier: Apache-2.0 */
#include "can/dbc.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "util.h"

#define MESSAGE "BO_ 1 M: 8 N\n"
#define SIGNAL  " SG_ S : 0|8@1+ (1,0) [0|0] \"\" N\n"

struct told {
	unsigned errors, warnings;
	char text[16384]; /* a line each: "file:line: error: reason" */
};

static void note(void *ctx, bool is_error, const char *file, uint32_t line, const char *text)
{
	struct told *told = ctx;
	size_t size = strlen(told->text);

	told->errors += is_error;
	told->warnings += !is_error;
	(void)snprintf(told->text + size, sizeof(told->text) - size, "%s:%u: %s: %s\n", file, line,
		is_error ? "error" : "warning", text);
}

static struct dbc *parse(const char *text, struct told *told)
{
	struct dbc *dbc = NULL;

	*told = (struct told){0};
	assert_int_equal(dbc_parse("f", text, strlen(text), note, told, &dbc), 0);
	return dbc;
}

static struct dbc *load(struct told *told)
{
	_cleanup_(freep) char *path = xasprintf("%s/tests/data/engine.dbc", getenv("SOURCE_DIR"));
	struct dbc *dbc = NULL;

	*told = (struct told){0};
	assert_int_equal(dbc_load(path, note, told, &dbc), 0);
	assert_string_equal(told->text, "");
	return dbc;
}

static const struct dbc_signal *signal_of(
	const struct dbc *dbc, const char *message, const char *name)
{
	const struct dbc_message *m = dbc_find_message(dbc, message);
	const struct dbc_signal *s;

	assert_non_null(m);
	s = dbc_find_signal(m, name);
	assert_non_null(s);
	return s;
}

static void test_messages(void **state)
{
	struct told told;
	struct dbc *dbc = load(&told);
	uint32_t n;
	const struct dbc_message *m = dbc_messages(dbc, &n);

	(void)state;
	assert_int_equal(n, 5);
	assert_string_equal(m[0].name, "Engine_1");
	assert_int_equal(m[0].id, 256);
	assert_int_equal(m[0].size, 8);
	assert_int_equal(m[0].n_signals, 6);
	assert_int_equal(m[0].cycle_ms, 10);
	assert_false(m[0].extended || m[0].fd || m[0].j1939);
	assert_string_equal(m[0].comment, "Two lines:\nthe second one, with \"quotes\" in it.");
	assert_int_equal(m[0].line, 23);
	assert_true(m[1].fd);
	assert_string_equal(m[4].name, "EEC1");
	assert_int_equal(m[4].id, 0x0cf004fe);
	assert_true(m[4].extended && m[4].j1939);
	assert_int_equal(m[4].cycle_ms, 0);
	assert_null(dbc_find_message(dbc, "VECTOR__INDEPENDENT_SIG_MSG"));
	dbc_free(dbc);
}

static void test_signals(void **state)
{
	struct told told;
	struct dbc *dbc = load(&told);
	const struct dbc_signal *s = signal_of(dbc, "Engine_1", "Speed");

	(void)state;
	assert_true(s->layout.start == 0 && s->layout.length == 16 &&
		    s->layout.type == DECODE_UNSIGNED && !s->layout.big_endian);
	assert_true(s->layout.factor == 0.125 && s->layout.offset == 0 && s->max == 8031.875);
	assert_string_equal(s->unit, "rpm");
	assert_string_equal(s->comment, "Of the crankshaft;\nnot of the vehicle.");
	s = signal_of(dbc, "Engine_1", "Torque");
	assert_true(s->layout.start == 31 && s->layout.length == 12 &&
		    s->layout.type == DECODE_SIGNED && s->layout.big_endian);
	s = signal_of(dbc, "Engine_1", "Lambda");
	assert_true(s->layout.factor == 1e-5 && s->layout.offset == 0.5);
	s = signal_of(dbc, "Engine_1", "PhaseOfTheCamshaftInDegreesOfTheCrankshaft");
	assert_ptr_equal(s, signal_of(dbc, "Engine_1", "Phase"));
	assert_int_equal(s->layout.start, 63);
	assert_int_equal(signal_of(dbc, "Floats", "Pressure")->layout.type, DECODE_FLOAT);
	assert_int_equal(signal_of(dbc, "Floats", "Energy")->layout.type, DECODE_DOUBLE);
	assert_int_equal(signal_of(dbc, "EEC1", "EngSpeed")->spn, 190);
	dbc_free(dbc);
}

static void test_values(void **state)
{
	struct told told;
	struct dbc *dbc = load(&told);
	const struct dbc_signal *s = signal_of(dbc, "Engine_1", "Coolant");

	(void)state;
	assert_string_equal(dbc_value_text(s, -1), "broken");
	assert_string_equal(dbc_value_text(s, 3), "three");
	assert_null(dbc_value_text(s, 0));
	assert_string_equal(dbc_value_text(signal_of(dbc, "Engine_1", "Running"), 1), "On");
	assert_string_equal(dbc_value_text(signal_of(dbc, "Pages", "Page"), 0), "Off");
	assert_null(dbc_value_text(signal_of(dbc, "Engine_1", "Speed"), 0));
	dbc_free(dbc);
}

static void test_multiplexing(void **state)
{
	struct told told;
	struct dbc *dbc = load(&told);
	const struct dbc_signal *s = signal_of(dbc, "Pages", "Amp");

	(void)state;
	assert_ptr_equal(s->selected_by, signal_of(dbc, "Pages", "Page"));
	assert_true(s->selected_by->is_switch && !s->selected_by->selected_by);
	assert_int_equal(s->n_ranges, 1);
	assert_true(s->ranges[0].first == 1 && s->ranges[0].last == 1);
	assert_null(signal_of(dbc, "Pages", "Always")->selected_by);
	s = signal_of(dbc, "Nested", "Deep");
	assert_ptr_equal(s->selected_by, signal_of(dbc, "Nested", "Inner"));
	assert_ptr_equal(s->selected_by->selected_by, signal_of(dbc, "Nested", "Outer"));
	s = signal_of(dbc, "Nested", "Wide");
	assert_int_equal(s->n_ranges, 2);
	assert_true(s->ranges[0].last == 2 && s->ranges[1].first == 7);
	dbc_free(dbc);
}

/* What real files do, and what must be read from them without a word. */
static void test_quirks(void **state)
{
	static const char *const texts[] = {
		"BO_ 1 M: 8 N\r\n SG_ S : 0|8@1+ (1,0) [0|0] \"\" N\r\n",
		"\xef\xbb\xbf" MESSAGE SIGNAL,
		"BO_ 1 M : 8\n SG_ S :0|8@1+ (1,0) [0|0] \"\"",
		"BO_\t1\tM:8 N\n\tSG_\tS\t: 0 | 8 @ 1 + "
		"( 1 , 0 ) [ 0 | 0 ] \"\"\tN , O\t",
		MESSAGE SIGNAL "BS_: 500000 : 1,2\nBU_ : A, B\n",
		MESSAGE " SG_ S : 0|8@1+ (1,0) [0|0] \"\" A,\n  B,C\nBO_ 2 L: 8 N\n",
		"NS_ : CM_ BA_DEF_ VAL_\nBS_:\n" MESSAGE SIGNAL,
		"NS_ :\nCM_\nBA_\n\nBU_:\n" MESSAGE SIGNAL "SIG_VALTYPE_ 1 S 0;\n",
		"// made by hand\n" MESSAGE SIGNAL ";;\n",
		MESSAGE SIGNAL "VAL_ 1 S 0.0 \"a\" 18446744073709551615 \"b\";",
		MESSAGE SIGNAL "EV_ E: 0 [0|1] \"\" 0 1 DUMMY_NODE_VECTOR0 N;\nVAL_ E 0 \"a\";\n",
		MESSAGE SIGNAL "CM_ BO_ 3221225472 \"of nothing\";\n",
		"BO_ 1 M: 8 N\r SG_ S : 0|8@1+ (1,0) [0|0] \"\" N\rCM_ \"old\rMacintosh\";\r",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct told told;
		struct dbc *dbc = parse(texts[i], &told);

		assert_string_equal(told.text, "");
		assert_int_equal(signal_of(dbc, "M", "S")->layout.length, 8);
		dbc_free(dbc);
	}
}

static void test_character_sets(void **state)
{
	struct told told;
	struct dbc *dbc = parse(MESSAGE " SG_ S : 0|8@1+ (1,0) [0|0] \"\xb0"
					"C \x80\" N\n",
		&told);

	(void)state;
	assert_string_equal(signal_of(dbc, "M", "S")->unit, "\xc2\xb0"
							    "C \xe2\x82\xac");
	dbc_free(dbc);
	dbc = parse(MESSAGE " SG_ S : 0|8@1+ (1,0) [0|0] \"\xc2\xb0"
			    "C\" N\n",
		&told);
	assert_string_equal(signal_of(dbc, "M", "S")->unit, "\xc2\xb0"
							    "C");
	dbc_free(dbc);
	/* nothing reaches a terminal that it would obey */
	dbc = parse(MESSAGE " SG_ S : 0|8@1+ (1,0) [0|0] \"a\033[2Jb\xc2\x9b"
			    "c\" N\n",
		&told);
	assert_string_equal(signal_of(dbc, "M", "S")->unit, "a [2Jb c");
	dbc_free(dbc);
}

static const struct {
	const char *text, *told;
} bad[] = {
	{MESSAGE "BO_ 1 L: 8 N\n" SIGNAL,
		"f:2: error: message L: M in line 1 has the same identifier\n"},
	{MESSAGE SIGNAL SIGNAL,
		"f:3: error: signal S: message M has another one of this name, in line 2\n"},
	{MESSAGE "BO_ 2 M: 8 N\n",
		"f:2: warning: message M: the one in line 1 has this name too\n"},
	{MESSAGE "BO_ 5000 L: 8 N\n",
		"f:2: warning: message 5000: more than 11 bits, but not marked "
		"as extended (bit 31); taken as it\n"},
	{MESSAGE "BO_ 4294967295 L: 8 N\n",
		"f:2: error: message 4294967295: an identifier has 29 bits\n"},
	{MESSAGE "BO_ 4294967296 L: 8 N\n" SIGNAL,
		"f:2: error: the identifier of a message is out of range: '4294967296', the most is "
		"4294967295\n"},
	{MESSAGE "BO_ 2 L: 1786 N\n",
		"f:2: error: the size of a message is out of range: '1786', the most is 1785\n"},
	{MESSAGE " SG_ S : 57|8@1+ (1,0) [0|0] \"\" N\n",
		"f:2: warning: signal S: reaches to byte 9, but message M has 8\n"},
	{MESSAGE " SG_ S : 56|9@0+ (1,0) [0|0] \"\" N\n",
		"f:2: warning: signal S: reaches to byte 9, but message M has 8\n"},
	{"BO_ 1 M: 0 N\n" SIGNAL, "f:1: warning: message M: has signals, but no bytes\n"},
	{MESSAGE " SG_ S : 0|65@1+ (1,0) [0|0] \"\" N\n",
		"f:2: error: signal S: its length is 65 bits, and a number has 1 to 64\n"},
	{MESSAGE " SG_ S : 0|0@1+ (1,0) [0|0] \"\" N\n",
		"f:2: error: signal S: its length is 0 bits, and a number has 1 to 64\n"},
	{MESSAGE " SG_ S : 0|8@2+ (1,0) [0|0] \"\" N\n",
		"f:2: error: the byte order is out of range: '2', the most is 1\n"},
	{MESSAGE " SG_ S : 0|8@1* (1,0) [0|0] \"\" N\n", "f:2: error: expected '+', found '*'\n"},
	{MESSAGE " SG_ S : 0|8@1+ (one,0) [0|0] \"\" N\n",
		"f:2: error: expected the factor, found 'one,0)'\n"},
	{MESSAGE " SG_ S : 0|8@1+ (1e999,0) [0|0] \"\" N\n",
		"f:2: error: the factor is out of range: 1e999\n"},
	{MESSAGE " SG_ S : 0|8@1+ (nan,0) [0|0] \"\" N\n",
		"f:2: error: expected the factor, found 'nan,0)'\n"},
	{MESSAGE " SG_ S : 0|8@1+ (0x10,0) [0|0] \"\" N\n",
		"f:2: error: expected the factor, found '0x10,0)'\n"},
	{MESSAGE " SG_ S : 0|8@1+ (0,1) [0|0] \"\" N\n",
		"f:2: warning: signal S: its factor is 0\n"},
	{MESSAGE " SG_ S : 0|8@1+ (1,0) [5|2] \"\" N\n",
		"f:2: warning: signal S: its minimum is above its maximum; taken as unsaid\n"},
	{MESSAGE " SG_ S : 0|8@1+ (1,0) [-1.#IND|1] \"\" N\n",
		"f:2: warning: signal S: its minimum and maximum are no numbers\n"},
	{MESSAGE SIGNAL " SG_ T : 7|8@1+ (1,0) [0|0] \"\" N\n",
		"f:3: warning: signal T: has bits in common with S\n"},
	{MESSAGE SIGNAL " SG_ T : 9|8@0+ (1,0) [0|0] \"\" N\n", ""},
	{MESSAGE " SG_ S : 8|1@1+ (1,0) [0|0] \"\" N\n SG_ T : 3|12@0+ (1,0) [0|0] \"\" N\n",
		"f:3: warning: signal T: has bits in common with S\n"},
	{MESSAGE " SG_ S m1 : 0|8@1+ (1,0) [0|0] \"\" N\n",
		"f:2: error: signal S: m1, but the message has no multiplexor (M)\n"},
	{MESSAGE " SG_ A M : 0|8@1+ (1,0) [0|0] \"\" N\n SG_ B M : 8|8@1+ (1,0) [0|0] \"\" N\n"
		 " SG_ S m1 : 16|8@1+ (1,0) [0|0] \"\" N\n",
		"f:4: error: signal S: m1, but the message has more than one multiplexor (M) and "
		"SG_MUL_VAL_ does not say which\n"},
	{MESSAGE " SG_ A M : 0|8@1+ (1,0) [0|0] \"\" N\n SG_ S m1 : 8|8@1+ (1,0) [0|0] \"\" N\n"
		 " SG_ T m2 : 8|8@1+ (1,0) [0|0] \"\" N\n SG_ U m1 : 8|8@1+ (1,0) [0|0] \"\" N\n",
		"f:5: warning: signal U: has bits in common with S\n"},
	{MESSAGE " SG_ A mM : 0|8@1+ (1,0) [0|0] \"\" N\n",
		"f:2: error: expected M, m and a number, or ':', found 'mM'\n"},
	{MESSAGE " SG_ A m0M : 0|8@1+ (1,0) [0|0] \"\" N\n SG_ B m0M : 8|8@1+ (1,0) [0|0] \"\" N\n"
		 "SG_MUL_VAL_ 1 A B 0-0;\nSG_MUL_VAL_ 1 B A 0-0;\n",
		"f:2: error: signal A: multiplexed in a circle, or more than 8 deep\n"
		"f:3: error: signal B: its multiplexor A was left out\n"},
	{MESSAGE SIGNAL "SG_MUL_VAL_ 1 S T 0-0;\n",
		"f:3: error: signal S: there is no multiplexor T\n"},
	{MESSAGE SIGNAL "SG_MUL_VAL_ 1 S S 3-1;\n",
		"f:3: error: a range that ends before it begins: 3-1\n"},
	{MESSAGE SIGNAL "SIG_VALTYPE_ 1 S : 1;\n",
		"f:3: error: signal S: a float has 32 bits and a double 64, this has 8\n"},
	{MESSAGE SIGNAL "VAL_ 1 T 0 \"a\";\nVAL_ 7 S 0 \"a\";\nVAL_ 1 S Nowhere;\n",
		"f:3: warning: message M has no signal T\nf:4: warning: there is no message 7\n"
		"f:5: warning: there is no VAL_TABLE_ Nowhere\n"},
	{MESSAGE SIGNAL "VAL_TABLE_ T 0 \"a\";\nVAL_TABLE_ T 0 \"b\";\n",
		"f:4: warning: another VAL_TABLE_ T; the first one counts\n"},
	{MESSAGE SIGNAL "VAL_ 1 S 1.5 \"a\";\n", "f:3: error: a value is no whole number\n"},
	{MESSAGE SIGNAL "VAL_ 1 S 1 2;\n",
		"f:3: error: expected the text of a value, found '2;'\n"},
	{MESSAGE SIGNAL "CM_ \"never ends\nBO_ 2 L: 8 N\n",
		"f:3: error: the quote that begins a comment here never ends\n"},
	{MESSAGE SIGNAL "CM_ SG_ 1 S \"no end\"\nVAL_ 1 S 0 \"a\";\n",
		"f:4: warning: the statement before this has no ';' at its end\n"},
	{MESSAGE SIGNAL "WHAT_ IS 1 \"this; here\";\nVAL_ 1 S 0 \"a\";\n",
		"f:3: warning: 'WHAT_' is not known here and passed over\n"},
	{MESSAGE SIGNAL "VAL_ 1 S 0 \"a\"; SG_ T : 0|8@1+ (1,0) [0|0] \"\" N\n",
		"f:3: error: a signal that follows no message\n"},
	{MESSAGE SIGNAL "? ! BO_\nBO_ 2 L: 8 N\n",
		"f:3: error: expected the beginning of a statement\n"},
	{MESSAGE "BO_ 2 L: 8 N\n SG_ S : 0|8@1+ (1,0) [0|0]",
		"f:3: error: expected the unit, but the file ends here\n"},
	{MESSAGE SIGNAL "BA_ \"VFrameFormat\" BO_ 1 3;\n",
		"f:1: warning: message M: J1939, but its identifier has 11 bits\n"},
	{"BO_ 1 M: 65 N\n" SIGNAL,
		"f:1: warning: message M: 65 bytes; a frame of CAN FD has 64, and "
		"it is not J1939\n"},
	{MESSAGE SIGNAL " SG_ T : 8|8@1+ (1,0) [0|0] \"\" N\n"
			"BA_ \"SystemSignalLongSymbol\" SG_ 1 S \"T\";\n",
		"f:2: warning: signal S: its long name is that of another one; not used\n"},
};

static void test_what_is_wrong_is_told(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct told told;
		struct dbc *dbc = parse(bad[i].text, &told);

		assert_string_equal(told.text, bad[i].told);
		assert_non_null(dbc_find_message(dbc, "M"));
		dbc_free(dbc);
	}
}

/* An error costs what it is in, and nothing behind it. */
static void test_goes_on_behind_an_error(void **state)
{
	struct told told;
	struct dbc *dbc = parse(MESSAGE " SG_ S : broken\n SG_ T : 8|8@1+ (1,0) [0|0] \"\" N\n"
					"BO_ broken\n SG_ U : 0|8@1+ (1,0) [0|0] \"\" N\n"
					"BO_ 2 L: 8 N\n SG_ V : 0|8@1+ (1,0) [0|0] \"x\" N\n",
		&told);

	(void)state;
	assert_int_equal(told.errors, 2);
	assert_null(dbc_find_signal(dbc_find_message(dbc, "M"), "S"));
	assert_non_null(signal_of(dbc, "M", "T"));
	assert_null(dbc_find_signal(dbc_find_message(dbc, "M"), "U"));
	assert_string_equal(signal_of(dbc, "L", "V")->unit, "x");
	dbc_free(dbc);
}

static void test_no_dbc(void **state)
{
	static const struct {
		const char *text;
		size_t size;
		const char *told;
	} no[] = {
		{"", 0, "f:1: error: there is no message in this file\n"},
		{"BO_ 1 M: 8 N\n\0", 14,
			"f:1: error: this is no text: there is a zero byte in it\n"},
		{"\xff\xfe"
		 "B\0",
			4, "f:1: error: this is UTF-16; save it as UTF-8 or Windows-1252\n"},
	};
	struct dbc *dbc = NULL;
	struct told told;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(no); i++) {
		told = (struct told){0};
		assert_int_equal(
			dbc_parse("f", no[i].text, no[i].size, note, &told, &dbc), -EBADMSG);
		assert_string_equal(told.text, no[i].told);
	}
	assert_int_equal(dbc_load("/nowhere/x.dbc", note, &told, &dbc), -ENOENT);
	assert_int_equal(dbc_load("/", note, &told, &dbc), -EISDIR);
	assert_int_equal(dbc_load("/dev/null", note, &told, &dbc), -EINVAL);
	assert_null(dbc);
}

/* n lines of `before`, a number, `between`, the number again, `after`. */
static void make_lines(char **ret_text, size_t *ret_size, const char *const parts[3], unsigned n)
{
	FILE *out = open_memstream(ret_text, ret_size);

	assert_non_null(out);
	(void)fputs(MESSAGE, out);
	for (unsigned i = 10; i < n + 10; i++) {
		(void)fprintf(out, "%s%u%s%u%s\n", parts[0], i, parts[1], i, parts[2]);
	}
	assert_int_equal(fclose(out), 0);
}

static void test_limits(void **state)
{
	static const struct {
		const char *parts[3];
		unsigned n;
		int r;
		const char *told;
	} rows[] = {
		{{"BO_ ", " X", ": 8 N"}, DBC_MAX_MESSAGES, -EFBIG,
			"error: more than 20000 messages"},
		{{" SG_ S", " : 0|8@1+ (1,0) [0|0] \"", "\""}, DBC_MAX_SIGNALS_EACH + 1, -EFBIG,
			"error: more than 200000 signals, or 4096 in a message"},
		{{"BO_ ", " X", " 8"}, 500, 0, "f:101: warning: further problems are not shown"},
	};
	static struct told told;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct dbc *dbc = NULL;
		char *text;
		size_t size;

		make_lines(&text, &size, rows[i].parts, rows[i].n);
		told = (struct told){0};
		assert_int_equal(dbc_parse("f", text, size, note, &told, &dbc), rows[i].r);
		assert_non_null(strstr(told.text, rows[i].told));
		assert_true(told.errors + told.warnings <= DBC_MAX_PROBLEMS + 2);
		dbc_free(dbc);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_multiplexing),
		cmocka_unit_test(test_quirks),
		cmocka_unit_test(test_character_sets),
		cmocka_unit_test(test_what_is_wrong_is_told),
		cmocka_unit_test(test_goes_on_behind_an_error),
		cmocka_unit_test(test_no_dbc),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests_name("can_dbc", tests, NULL, NULL);
}
