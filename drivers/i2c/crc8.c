/* SPDX-License-Identifier: Apache-2.0 */
#include "crc8.h"

uint8_t i2c_crc8(uint8_t polynomial, uint8_t crc, const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++) {
			crc = (uint8_t)(crc << 1 ^ (crc & 0x80 ? polynomial : 0));
		}
	}
	return crc;
}
