/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The attributes that matter here. What they are called and what their values mean is nowhere
 * standardised but by the files of the tool that made the format.
 */
#include "dbc_private.h"

#include <errno.h>
#include <string.h>

enum what { OF_FILE, OF_MESSAGE, OF_SIGNAL, OF_OTHER };

/* A value of an attribute: text, or a number. */
struct value {
	const char *text; /* NULL: a number */
	double number;
};

/* The usual order of VFrameFormat, for files that do not define it. */
static const char *const usual_formats[] = {"StandardCAN", "ExtendedCAN", "reserved", "J1939PG",
	"reserved", "reserved", "reserved", "reserved", "reserved", "reserved", "reserved",
	"reserved", "reserved", "reserved", "StandardCAN_FD", "ExtendedCAN_FD"};

static uint8_t format_of(const char *name)
{
	if (strncmp(name, "J1939", 5) == 0) {
		return DBC_FORMAT_J1939;
	}
	if (strstr(name, "CAN_FD")) {
		return DBC_FORMAT_FD;
	}
	return strstr(name, "CAN") ? DBC_FORMAT_PLAIN : DBC_FORMAT_UNSAID;
}

static uint8_t format_of_value(const struct dbc_parser *p, const struct value *value)
{
	size_t n_usual = sizeof(usual_formats) / sizeof(usual_formats[0]);

	if (value->text) {
		return format_of(value->text);
	}
	if (!(value->number >= 0) || value->number >= DBC_MAX_FORMAT) {
		return DBC_FORMAT_UNSAID;
	}
	if (p->n_formats > 0) {
		return p->formats[(size_t)value->number];
	}
	return value->number < (double)n_usual ? format_of(usual_formats[(size_t)value->number])
					       : DBC_FORMAT_UNSAID;
}

static enum what take_what(struct dbc_lexer *l)
{
	struct dbc_word word;

	if (!dbc_try_word(l, &word)) {
		return OF_FILE;
	}
	return dbc_word_is(word, "BO_")   ? OF_MESSAGE
	       : dbc_word_is(word, "SG_") ? OF_SIGNAL
					  : OF_OTHER;
}

static bool take_value(struct dbc_lexer *l, struct value *ret_value)
{
	dbc_skip_blank(l);
	*ret_value = (struct value){0};
	if (*l->at == '"') {
		return dbc_take_string(l, "the value of an attribute", &ret_value->text);
	}
	return dbc_take_number(l, "the value of an attribute", &ret_value->number);
}

/* A number that is whole and no more than 32 bits; 0 if it is not. */
static uint32_t as_u32(const struct value *value)
{
	bool fits = !value->text && value->number >= 0 && value->number <= (double)UINT32_MAX;

	return fits ? (uint32_t)value->number : 0;
}

static void set_of_message(struct dbc_parser *p, struct dbc_draft_message *m, const char *name,
	const struct value *value)
{
	if (strcmp(name, "VFrameFormat") == 0) {
		m->format = format_of_value(p, value);
	} else if (strcmp(name, "GenMsgCycleTime") == 0) {
		m->message.cycle_ms = as_u32(value);
		m->has_cycle = true;
	} else if (strcmp(name, "SystemMessageLongSymbol") == 0 && value->text) {
		m->long_name = value->text;
	}
}

static void set_of_signal(struct dbc_draft_signal *s, const char *name, const struct value *value)
{
	if (strcmp(name, "SPN") == 0) {
		s->signal.spn = as_u32(value);
	} else if (strcmp(name, "SystemSignalLongSymbol") == 0 && value->text) {
		s->long_name = value->text;
	}
}

/* BA_ "SPN" SG_ 2364540158 EngineSpeed 190; BA_ "BusType" "CAN FD"; */
bool dbc_read_attribute(struct dbc_parser *p)
{
	struct dbc_lexer *l = &p->lexer;
	uint32_t of = DBC_NONE;
	struct value value;
	const char *name;
	enum what what;

	if (!dbc_take_string(l, "the name of an attribute", &name)) {
		return false;
	}
	what = take_what(l);
	if (what == OF_OTHER || (what == OF_MESSAGE && !dbc_take_message(p, &of)) ||
		(what == OF_SIGNAL && !dbc_take_signal(p, &of)) || !take_value(l, &value)) {
		return false;
	}
	if (what == OF_FILE && strcmp(name, "ProtocolType") == 0) {
		p->is_j1939 = value.text && strcmp(value.text, "J1939") == 0;
	} else if (what == OF_MESSAGE && of != DBC_NONE) {
		set_of_message(p, &p->messages[of], name, &value);
	} else if (what == OF_SIGNAL && of != DBC_NONE) {
		set_of_signal(&p->signals[of], name, &value);
	}
	return dbc_take_end(l);
}

/* BA_DEF_ BO_ "VFrameFormat" ENUM "StandardCAN","ExtendedCAN"; the others are passed over. */
bool dbc_read_definition(struct dbc_parser *p)
{
	struct dbc_lexer *l = &p->lexer;
	enum what what = take_what(l);
	struct dbc_word type;
	const char *name;

	if (!dbc_take_string(l, "the name of an attribute", &name) ||
		!dbc_take_word(l, "the type of an attribute", &type)) {
		return false;
	}
	if (what != OF_MESSAGE || strcmp(name, "VFrameFormat") != 0 || !dbc_word_is(type, "ENUM")) {
		return false; /* nothing that matters: passed over */
	}
	p->n_formats = 0;
	memset(p->formats, DBC_FORMAT_UNSAID, sizeof(p->formats));
	do {
		if (!dbc_take_string(l, "the name of a frame format", &name)) {
			return false;
		}
		if (p->n_formats < DBC_MAX_FORMAT) {
			p->formats[p->n_formats++] = format_of(name);
		}
	} while (dbc_try_char(l, ','));
	return dbc_take_end(l);
}

/* BA_DEF_DEF_ "VFrameFormat" "StandardCAN"; */
bool dbc_read_default(struct dbc_parser *p)
{
	struct dbc_lexer *l = &p->lexer;
	struct value value;
	const char *name;

	if (!dbc_take_string(l, "the name of an attribute", &name) || !take_value(l, &value)) {
		return false;
	}
	if (strcmp(name, "VFrameFormat") == 0) {
		p->default_format = format_of_value(p, &value);
	} else if (strcmp(name, "GenMsgCycleTime") == 0) {
		p->default_cycle_ms = as_u32(&value);
	} else if (strcmp(name, "ProtocolType") == 0) {
		p->is_j1939 = value.text && strcmp(value.text, "J1939") == 0;
	}
	return dbc_take_end(l);
}
