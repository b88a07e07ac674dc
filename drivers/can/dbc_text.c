/* SPDX-License-Identifier: Apache-2.0 */
/* From the bytes of a DBC file to UTF-8: the format says nothing of character sets, and files come
   in the one of the Windows that wrote them. */
#include "dbc_lexer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define REPLACEMENT 0xfffdu

/* Windows-1252, where it differs from Latin-1; 0 is not assigned. */
static const uint16_t cp1252[32] = {0x20ac, 0, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021,
	0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0, 0x017d, 0, 0, 0x2018, 0x2019, 0x201c, 0x201d,
	0x2022, 0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0, 0x017e, 0x0178};

/* Length of the character at `p`, 0 if it is none: RFC 3629, 4. */
static size_t utf8_length(const uint8_t *p, size_t left)
{
	size_t n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

	if (n == 0 || p[0] > 0xf4 || n > left) {
		return 0;
	}
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80) {
			return 0;
		}
	}
	/* longer than need be, a surrogate, beyond U+10FFFF */
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] >= 0xa0) ||
		(p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] >= 0x90)) {
		return 0;
	}
	return n;
}

static bool is_utf8(const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size;) {
		size_t n = utf8_length(bytes + i, size - i);

		if (n == 0) {
			return false;
		}
		i += n;
	}
	return true;
}

static char *put_windows(char *out, uint8_t byte)
{
	uint32_t c = byte >= 0x80 && byte < 0xa0 ? cp1252[byte - 0x80] : byte;

	c = c ? c : REPLACEMENT;
	if (c < 0x800) {
		*out++ = (char)(0xc0 | c >> 6);
	} else {
		*out++ = (char)(0xe0 | c >> 12);
		*out++ = (char)(0x80 | (c >> 6 & 0x3f));
	}
	*out++ = (char)(0x80 | (c & 0x3f));
	return out;
}

int dbc_text_new(const void *bytes, size_t size, char **ret_text, const char **ret_reason)
{
	const uint8_t *p = bytes, *end = p + size;
	size_t n_high = 0;
	char *text, *out;
	bool utf8;

	if (size >= 2 && (memcmp(p, "\xff\xfe", 2) == 0 || memcmp(p, "\xfe\xff", 2) == 0)) {
		*ret_reason = "this is UTF-16; save it as UTF-8 or Windows-1252";
		return -EBADMSG;
	}
	if (size > 0 && memchr(p, '\0', size)) {
		*ret_reason = "this is no text: there is a zero byte in it";
		return -EBADMSG;
	}
	if (size >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0) {
		p += 3;
	}
	utf8 = is_utf8(p, (size_t)(end - p));
	for (const uint8_t *q = p; q < end; q++) {
		n_high += *q >= 0x80;
	}
	text = malloc((size_t)(end - p) + 2 * n_high + 1);
	if (!text) {
		return -ENOMEM;
	}
	for (out = text; p < end; p++) {
		if (*p == '\r') {
			if (end - p < 2 || p[1] != '\n') {
				*out++ = '\n'; /* old Macintosh files */
			}
		} else if (*p < 0x80 || utf8) {
			*out++ = (char)*p;
		} else {
			out = put_windows(out, *p);
		}
	}
	*out = '\0';
	*ret_text = text;
	return 0;
}
