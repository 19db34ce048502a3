"""LangChain agent with tools (openai | anthropic), and a LangGraph graph (graph)."""
import os
import sys

from common import BASE, CA, FOLLOWUP, KEY, MODEL, PROMPT, SYSTEM, finish, shell_echo, wait, write_note

os.environ.update(SSL_CERT_FILE=CA, REQUESTS_CA_BUNDLE=CA, LANGSMITH_TRACING="false", LANGCHAIN_TRACING_V2="false")

from langchain.agents import create_agent  # noqa: E402
from langchain_core.messages import HumanMessage, SystemMessage  # noqa: E402
from langchain_core.tools import tool  # noqa: E402

MODE = sys.argv[1]
TOOLS = [tool(write_note), tool(shell_echo)]


def model():
    if MODE == "anthropic":
        from langchain_anthropic import ChatAnthropic
        return ChatAnthropic(model=MODEL, base_url=BASE, api_key=KEY, max_tokens=2000)
    from langchain_openai import ChatOpenAI
    return ChatOpenAI(model=MODEL, base_url=BASE + "/v1", api_key=KEY, streaming=MODE == "graph",
                      stream_usage=True if MODE == "graph" else None)


def graph(llm):
    """Two nodes and a conditional edge by hand: plan -> act -> plan ... -> end."""
    from langgraph.graph import END, START, MessagesState, StateGraph
    from langgraph.prebuilt import ToolNode
    bound = llm.bind_tools(TOOLS)

    def plan(state):
        return {"messages": [bound.invoke([SystemMessage(SYSTEM)] + state["messages"])]}

    def route(state):
        return "act" if state["messages"][-1].tool_calls else END
    g = StateGraph(MessagesState)
    g.add_node("plan", plan)
    g.add_node("act", ToolNode(TOOLS))
    g.add_edge(START, "plan")
    g.add_conditional_edges("plan", route, ["act", END])
    g.add_edge("act", "plan")
    return g.compile()


def main():
    llm = model()
    agent = graph(llm) if MODE == "graph" else create_agent(llm, TOOLS, system_prompt=SYSTEM)
    wait()
    messages = []
    for prompt in filter(None, (PROMPT, FOLLOWUP)):
        messages.append(HumanMessage(prompt))
        messages = agent.invoke({"messages": messages})["messages"]
        finish(messages[-1].text if not callable(messages[-1].text) else messages[-1].text())


main()
