/* SPDX-License-Identifier: Apache-2.0
 *
 * A program of an integrator, compiled as C and as C++ against the installed library only. It needs
 * no broker: it sees that the library is the header's, that requests are checked, and that opening
 * what does not exist is told.
 */
#include <stdio.h>
#include <string.h>

#include <yizhan/client.h>

static int failures;

static void expect(int holds, const char *what)
{
    if (!holds) {
        printf("not so: %s\n", what);
        failures++;
    }
}

int main(void)
{
    char version[32];
    snprintf(version, sizeof version, "%d.%d.%d", YZ_VERSION_MAJOR, YZ_VERSION_MINOR,
             YZ_VERSION_PATCH);
    expect(strcmp(version, yz_version()) == 0, "the library's version is the header's");

    yz_client *client = NULL;
    yz_error err;
    expect(yz_client_open("/nonexistent/client.yaml", &client, &err) == YZ_ENOTFOUND,
           "a configuration that does not exist is not found");
    expect(client == NULL && err.code == YZ_ENOTFOUND && strstr(err.text, "client.yaml") != NULL,
           "the error names it");
    expect(yz_err_class(YZ_ENOTFOUND) == YZ_CLASS_USAGE &&
               strcmp(yz_err_name(YZ_ENOTFOUND), "YZ_ENOTFOUND") == 0,
           "codes have classes and names");

    yz_request *request = NULL;
    expect(yz_request_new("no service", &request) == YZ_EINVAL, "a service has a form");
    expect(yz_request_new("CN/GOV/MCA/civil/marriage/v1", &request) == YZ_OK, "a service is taken");
    const char *key[] = {"310101198001010011"};
    expect(yz_request_add_key(request, key, 1) == YZ_OK, "a key is taken");
    expect(yz_request_set_timeout(request, 1) == YZ_EINVAL, "a time-out has bounds");
    yz_answer *answer = NULL;
    expect(yz_call(NULL, request, &answer, &err) == YZ_EINVAL, "a call needs a client");
    yz_ticket ticket = 0;
    yz_completion done;
    expect(yz_submit(NULL, request, NULL, &ticket, &err) == YZ_EINVAL && ticket == 0,
           "submitting needs one");
    expect(yz_poll(NULL, 0, &done, &err) == YZ_EINVAL && yz_cancel(NULL, 1) == YZ_EINVAL &&
               yz_client_fd(NULL) == YZ_EINVAL,
           "so do polling, cancelling and waiting");
    expect(yz_err_class(YZ_ECANCELLED) == YZ_CLASS_BLOCKED, "cancelled is no fault");
    yz_client_shutdown(client);
    yz_request_free(request);
    yz_answer_free(answer);
    yz_client_close(client);
    expect(strcmp(yz_status_name(YZ_STATUS_DENIED), "denied") == 0, "a status has a name");
    return failures != 0;
}
