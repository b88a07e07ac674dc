/* SPDX-License-Identifier: Apache-2.0 */
#include "request.h"

#include <errno.h>

/* [AP] 6.1 to 6.4 */
static const uint8_t functions[] = {
	[TABLE_HOLDING] = 3,
	[TABLE_INPUT] = 4,
	[TABLE_COIL] = 1,
	[TABLE_DISCRETE] = 2,
};

struct modbus_pdu modbus_request_read(uint8_t table, uint32_t address, uint32_t count)
{
	return (struct modbus_pdu){
		.size = 5,
		.bytes = {functions[table], (uint8_t)(address >> 8), (uint8_t)address,
			(uint8_t)(count >> 8), (uint8_t)count},
	};
}

int modbus_request_judge(const struct modbus_pdu *request, const struct modbus_pdu *answer)
{
	uint8_t function = request->bytes[0];
	uint32_t count = (uint32_t)(request->bytes[3] << 8 | request->bytes[4]);
	size_t size = modbus_data_size(function <= 2, count);

	if (answer->size == 2 && answer->bytes[0] == (function | 0x80) && answer->bytes[1] > 0) {
		return answer->bytes[1];
	}
	if (answer->size == 2 + size && answer->bytes[0] == function && answer->bytes[1] == size) {
		return 0;
	}
	return -EBADMSG;
}

const char *modbus_exception_name(uint8_t code)
{
	static const char *const names[] = {
		[EXCEPTION_FUNCTION] = "illegal function",
		[EXCEPTION_ADDRESS] = "illegal data address",
		[EXCEPTION_VALUE] = "illegal data value",
		[4] = "device failure",
		[EXCEPTION_ACKNOWLEDGE] = "acknowledged, not ready yet",
		[EXCEPTION_BUSY] = "device busy",
		[7] = "negative acknowledge",
		[8] = "memory parity error",
		[EXCEPTION_PATH] = "gateway path unavailable",
		[EXCEPTION_TARGET] = "device behind the gateway does not answer",
	};

	return code < SCG_COUNT(names) && names[code] ? names[code] : "unknown exception";
}

const char *modbus_table_name(uint8_t table)
{
	static const char *const names[] = {
		[TABLE_HOLDING] = "holding register",
		[TABLE_INPUT] = "input register",
		[TABLE_COIL] = "coil",
		[TABLE_DISCRETE] = "discrete input",
	};

	return names[table];
}
