/* SPDX-License-Identifier: Apache-2.0 */
#include "obd.h"

#include <string.h>

#define POSITIVE 0x40 /* added to the service in its answer, ISO 14229-1, 8.2 */
#define NEGATIVE 0x7f
#define PENDING  0x78 /* response code "request correctly received, response pending" */

size_t obd_encode(const struct obd_request *request, uint8_t ret_message[OBD_REQUEST_MAX])
{
	size_t n = 0;

	ret_message[n++] = request->service;
	if (request->service == OBD_READ_BY_IDENTIFIER) {
		ret_message[n++] = (uint8_t)(request->id >> 8);
	}
	ret_message[n++] = (uint8_t)request->id;
	return n;
}

enum obd_answer obd_match(const struct obd_request *request, const uint8_t *message, size_t size,
	struct obd_reply *ret_reply)
{
	uint8_t asked[OBD_REQUEST_MAX];
	size_t n = obd_encode(request, asked);

	if (size >= 3 && message[0] == NEGATIVE && message[1] == request->service) {
		if (message[2] == PENDING) {
			return OBD_PENDING;
		}
		*ret_reply = (struct obd_reply){.code = message[2]};
		return OBD_REFUSED;
	}
	asked[0] |= POSITIVE;
	if (size <= n || memcmp(message, asked, n) != 0) {
		return OBD_OTHER;
	}
	*ret_reply = (struct obd_reply){.data = message + n, .size = size - n};
	return OBD_DATA;
}

const char *obd_refusal_text(uint8_t code)
{
	/* ISO 14229-1, annex A.1 */
	switch (code) {
	case 0x10:
		return "general reject";
	case 0x11:
		return "service not supported";
	case 0x12:
		return "identifier not supported";
	case 0x13:
		return "wrong length of the message";
	case 0x14:
		return "the answer is too long";
	case 0x21:
		return "busy, ask again";
	case 0x22:
		return "conditions not correct";
	case 0x31:
		return "request out of range: no such identifier";
	case 0x33:
		return "security access denied";
	case 0x7e:
	case 0x7f:
		return "service not supported in this session";
	default:
		return "refused";
	}
}
