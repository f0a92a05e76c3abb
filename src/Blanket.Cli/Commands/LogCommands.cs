using System;
using System.Collections.Generic;
using System.CommandLine;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Instances;

namespace Blanket.Cli.Commands;

/// <summary><c>log</c> and <c>debug-keys</c>: what Blanket says.</summary>
internal static class LogCommands
{
    internal static IEnumerable<Command> Create(Report report)
    {
        Option<string?> instance = InstanceCommand.InstanceOption();
        Command log = new("log", "Show the end of Blanket's log.") { instance };
        log.SetAction((arguments, cancellation) => InstanceCommand.RunAsync(
            arguments.GetValue(instance), (_, client) => ShowAsync(client, 0, report, cancellation), report, cancellation));
        yield return log;

        Argument<string> keys = new("KEYS") { Description = "q guests, r vCPUs, e event channels, g grants, m memory and what else is in use, t time, x exits, h help." };
        Command debug = new("debug-keys", "Let Blanket show something of itself.") { keys, instance };
        debug.SetAction((arguments, cancellation) => InstanceCommand.RunAsync(
            arguments.GetValue(instance),
            async (_, client) =>
            {
                ulong end = await EndAsync(client, cancellation).ConfigureAwait(false);
                await client.DebugKeysAsync(arguments.GetRequiredValue(keys), cancellation).ConfigureAwait(false);
                await ShowAsync(client, end, report, cancellation).ConfigureAwait(false);
            },
            report,
            cancellation));
        yield return debug;
    }

    /// <summary>The position behind the log's end.</summary>
    internal static async Task<ulong> EndAsync(ManagementClient client, CancellationToken cancellation) =>
        (await client.LogAsync(ulong.MaxValue, cancellation).ConfigureAwait(false)).End;

    /// <summary>Shows the log from a position to its end.</summary>
    internal static async Task ShowAsync(ManagementClient client, ulong position, Report report, CancellationToken cancellation)
    {
        StringBuilder text = new();
        while (true)
        {
            (ulong start, ulong end, byte[] bytes) = await client.LogAsync(position, cancellation).ConfigureAwait(false);
            text.Append(Encoding.ASCII.GetString(bytes));
            position = start + (ulong)bytes.Length;
            if (position >= end || bytes.Length == 0)
            {
                break;
            }
        }

        report.Line(text.ToString().Replace("\r", string.Empty, StringComparison.Ordinal).TrimEnd('\n'));
    }
}
