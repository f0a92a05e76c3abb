using System;
using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Configuration;
using Blanket.Lab.Hosting;
using Blanket.Lab.Instances;
using Spectre.Console;

namespace Blanket.Cli.Commands;

/// <summary>What the commands for a running instance have in common: which one, and JSON for scripts.</summary>
internal static class InstanceCommand
{
    private static readonly JsonSerializerOptions s_json = new() { WriteIndented = false };

    /// <summary>Which instance.</summary>
    internal static Option<string?> InstanceOption() => new("--instance") { Description = "The instance's name, when several run.", HelpName = "NAME" };

    /// <summary>JSON instead of a table.</summary>
    internal static Option<bool> JsonOption() => new("--json") { Description = "One JSON value on standard output." };

    /// <summary>A guest's name.</summary>
    internal static Argument<string> GuestArgument() => new("GUEST") { Description = "The guest's name." };

    /// <summary>Connects to the instance, does something and explains a refusal.</summary>
    /// <exception cref="InputException">The request was refused.</exception>
    internal static async Task<int> RunAsync(string? instance, Func<Instance, ManagementClient, Task> act, Report report, CancellationToken cancellation)
    {
        Instance found = Instance.Find(instance);
        void Wait() => report.Warning($"another command talks to {found.Name}; this one waits for its turn");
        using ManagementClient client = await ManagementClient.ConnectAsync(found, Wait, cancellation).ConfigureAwait(false);
        try
        {
            await act(found, client).ConfigureAwait(false);
            return ExitStatus.Success;
        }
        catch (ManagementException e)
        {
            throw new HostException($"Blanket refused: {e.Message}");
        }
    }

    /// <summary>Writes what was asked for: a value for scripts, or a table.</summary>
    internal static void Write(Report report, bool isJson, Func<JsonNode> describe, Func<Table> draw)
    {
        if (isJson)
        {
            WriteJson(report, describe());
        }
        else
        {
            report.Draw(draw());
        }
    }

    /// <summary>Writes a value for scripts.</summary>
    internal static void WriteJson(Report report, JsonNode value) => report.Line(value.ToJsonString(s_json));
}
