/* SPDX-License-Identifier: Apache-2.0 */
#include "wire.h"

#include <stdio.h>

#include "clock.h"
#include "options.h"

#define SILENCE_MIN INT64_C(1750000) /* [SERIAL] 2.5.1.1 */
/* From the end of the silence to the first byte of the answer, for a slave that is quick. */
#define SERIAL_TURN_NS (6 * NS_PER_MS)
/* There and back over a local network, with the slave's own time. */
#define TCP_TURN_NS (5 * NS_PER_MS)

int64_t modbus_wire_character_ns(const union scg_value *options)
{
	/* Start, data, parity, stop. */
	int64_t bits = 1 + 8 + (options[BUS_PARITY].i ? 1 : 0) + options[BUS_STOP_BITS].i;

	return bits * NS_PER_S / options[BUS_BAUD].i;
}

int64_t modbus_wire_silence_ns(const union scg_value *options)
{
	int64_t silence_ns = modbus_wire_character_ns(options) * 7 / 2;

	return silence_ns > SILENCE_MIN ? silence_ns : SILENCE_MIN;
}

int64_t modbus_wire_gap_ns(const union scg_value *options)
{
	int64_t silence_ns = modbus_wire_silence_ns(options);

	return options[BUS_REQUEST_GAP].i > silence_ns ? options[BUS_REQUEST_GAP].i : silence_ns;
}

struct modbus_wire modbus_wire_of(const union scg_value *options)
{
	int64_t char_ns;

	if (options[BUS_TRANSPORT].i == TRANSPORT_TCP) {
		return (struct modbus_wire){
			.frame_ns = options[BUS_REQUEST_GAP].i,
			.turn_ns = TCP_TURN_NS,
		};
	}
	char_ns = modbus_wire_character_ns(options);
	return (struct modbus_wire){
		.byte_ns = char_ns,
		.frame_ns = (MODBUS_RTU_REQUEST + MODBUS_RTU_ANSWER) * char_ns +
			    modbus_wire_gap_ns(options),
		/* The slave finds the end of the request by its silence. */
		.turn_ns = modbus_wire_silence_ns(options) + SERIAL_TURN_NS,
		.least_ns = modbus_wire_silence_ns(options),
	};
}

int64_t modbus_wire_ns(const struct modbus_wire *wire, bool is_bits, uint32_t count)
{
	return wire->frame_ns + modbus_data_size(is_bits, count) * wire->byte_ns;
}

void modbus_wire_describe(const union scg_value *options, char *text, size_t size)
{
	(void)snprintf(text, size, "%d baud, %d%c%d", (int)options[BUS_BAUD].i,
		(int)options[BUS_DATA_BITS].i, "NEO"[options[BUS_PARITY].i],
		(int)options[BUS_STOP_BITS].i);
}
