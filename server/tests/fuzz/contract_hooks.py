"""What schemathesis is told about this server; loaded in the process of test_contract_fuzz.py."""

import os
from typing import Any

import schemathesis
from schemathesis import Case, HookContext
from schemathesis.core.parameters import ParameterLocation


@schemathesis.hook
def before_load_schema(context: HookContext, raw_schema: dict[str, Any]) -> None:
    """Name the account that there is: of a made-up one all is 404 and goes no deeper."""
    account = {"type": "string", "enum": [os.environ["CONTRACT_FUZZ_ACCOUNT"]]}
    for name in ("AccountHeader", "AccountQuery"):
        raw_schema["components"]["parameters"][name]["schema"] = account
    for path, item in raw_schema["paths"].items():
        if path.startswith("/accounts/{id}"):
            item["parameters"][0]["schema"] = account
    # What removes or stops an account has one of its own, or the others had none for long.
    spare = {"type": "string", "enum": [os.environ["CONTRACT_FUZZ_SPARE"]]}
    for path, method in (("/accounts/{id}", "delete"), ("/accounts/{id}/disconnect", "post")):
        parameter = {"name": "id", "in": "path", "required": True, "schema": spare}
        raw_schema["paths"][path][method]["parameters"] = [parameter]
    # And never the key that asks.
    key = {"type": "string", "enum": [os.environ["CONTRACT_FUZZ_SPARE_KEY"]]}
    raw_schema["components"]["parameters"]["KeyPath"]["schema"] = key
    # It reads YAML before it judges it: what the contract calls a text is an object to it.
    yaml = raw_schema["paths"]["/openapi.yaml"]["get"]["responses"]["200"]["content"]
    yaml["application/yaml"]["schema"] = {"type": "object"}


@schemathesis.hook
def filter_case(context: HookContext, case: Case) -> bool:
    """Leave out requests whose only fault is a header that nobody declared: HTTP passes it over."""
    is_spoilt = case.meta is not None and case.meta.is_negative_at(ParameterLocation.HEADER)
    return not is_spoilt or all(name in case.operation.headers for name in case.headers)
