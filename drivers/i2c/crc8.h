/* SPDX-License-Identifier: Apache-2.0 */
#ifndef I2C_CRC8_H
#define I2C_CRC8_H

/*
 * The checksums of one byte that chips on I2C have: most significant bit first, nothing done to the
 * result.
 */

#include <stddef.h>
#include <stdint.h>

#define CRC8_SMBUS     0x07 /* x^8 + x^2 + x + 1, begins with 0: SMBus specification 3.1, 6.4.1.2 */
#define CRC8_SENSIRION 0x31 /* x^8 + x^5 + x^4 + 1, begins with 0xff: SHT3x datasheet, 4.12 */

/* Goes on from `crc`, which is the initial value at first. */
uint8_t i2c_crc8(uint8_t polynomial, uint8_t crc, const uint8_t *bytes, size_t n);

#endif
