/* SPDX-License-Identifier: Apache-2.0 */
#include "mqtt_tls.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include "util.h"

const char *mqtt_tls_ca_file(const struct mqtt_options *options)
{
	return options->ca_file ? options->ca_file : "/etc/ssl/certs/ca-certificates.crt";
}

int mqtt_tls_check_files(const struct mqtt_options *options, char *buf, size_t size)
{
	const struct {
		const char *what, *path;
	} files[] = {
		{"CA file", mqtt_tls_ca_file(options)},
		{"certificate file", options->cert_file},
		{"key file", options->key_file},
	};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		FILE *file = files[i].path ? fopen(files[i].path, "re") : NULL;

		if (file) {
			(void)fclose(file);
		} else if (files[i].path) {
			int error = errno;

			(void)snprintf(buf, size, "%s %s: %s", files[i].what, files[i].path,
				strerror(error));
			return -error;
		}
	}
	return 0;
}

int mqtt_tls_no_passphrase(char *buf, int size, int writing, void *ctx)
{
	return 0;
}

bool mqtt_tls_is_established(const void *ssl)
{
	return ssl && SSL_is_init_finished(ssl);
}

void mqtt_tls_describe_refusal(const void *ssl, const char *ca_file, char *buf, size_t size)
{
	long result = ssl ? SSL_get_verify_result(ssl) : X509_V_OK;
	const char *text = X509_verify_cert_error_string(result);

	switch (result) {
	case X509_V_OK:
	case X509_V_ERR_UNSPECIFIED:
		buf[0] = '\0';
		break;
	case X509_V_ERR_CERT_NOT_YET_VALID:
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_CRL_NOT_YET_VALID:
	case X509_V_ERR_CRL_HAS_EXPIRED:
		(void)snprintf(buf, size, "%s; is the clock of this machine right?", text);
		break;
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
		(void)snprintf(buf, size, "%s; its CA is not in %s", text, ca_file);
		break;
	default:
		(void)snprintf(buf, size, "%s", text);
		break;
	}
}
