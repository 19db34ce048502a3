"""A CrewAI crew of two agents, the first with a tool that it uses through the text protocol."""
import os

from common import BASE, CA, KEY, MODEL, PROMPT, FOLLOWUP, SYSTEM, WORK, finish, shell_echo, wait

os.environ.update(SSL_CERT_FILE=CA, REQUESTS_CA_BUNDLE=CA, CREWAI_DISABLE_TELEMETRY="true", OTEL_SDK_DISABLED="true",
                  CREWAI_DISABLE_TRACKING="true", CREWAI_TRACING_ENABLED="false", CREWAI_STORAGE_DIR=WORK, HOME=WORK,
                  OPENAI_API_KEY=KEY, OPENAI_API_BASE=BASE + "/v1", OPENAI_BASE_URL=BASE + "/v1",
                  LITELLM_LOCAL_MODEL_COST_MAP="True", CREWAI_TESTING="true", LANCEDB_CONFIG_DIR=WORK)

from crewai import LLM, Agent, Crew, Process, Task  # noqa: E402
from crewai.tools import tool  # noqa: E402


@tool("shell_echo")
def echo(word: str, times: int) -> str:
    """Echo a word through the shell."""
    return shell_echo(word, times)


def main():
    wait()
    llm = LLM(model="openai/" + MODEL, base_url=BASE + "/v1", api_key=KEY)
    # A model without native tools: CrewAI then speaks Action / Action Input / Observation.
    type(llm).supports_function_calling = lambda self: False
    researcher = Agent(role="researcher", goal=SYSTEM, backstory="Looks things up.", tools=[echo], llm=llm,
                       allow_delegation=False, verbose=False, cache=False)
    writer = Agent(role="writer", goal="write it down", backstory="Writes.", llm=llm, allow_delegation=False,
                   verbose=False)
    tasks = [Task(description=PROMPT, expected_output="a fact", agent=researcher),
             Task(description=FOLLOWUP, expected_output="a line", agent=writer)]
    crew = Crew(agents=[researcher, writer], tasks=tasks, process=Process.sequential, verbose=False, memory=False,
                cache=False)
    finish(str(crew.kickoff()))


main()
