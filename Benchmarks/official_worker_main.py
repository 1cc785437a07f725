"""Runs the SDK's `EnvironmentWorker`, unmodified, on the folder given as argument, until it is killed."""

import asyncio
import os
import sys

from anthropic import AsyncAnthropic


async def main() -> None:
    client = AsyncAnthropic(api_key="unused")
    worker = client.beta.environments.work.worker(
        environment_id=os.environ["ANTHROPIC_ENVIRONMENT_ID"], environment_key=os.environ["ANTHROPIC_ENVIRONMENT_KEY"], workdir=sys.argv[1],
        max_idle=0.2)
    print("serving", flush=True)
    await worker.run()


asyncio.run(main())
