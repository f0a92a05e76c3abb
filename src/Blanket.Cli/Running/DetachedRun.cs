using System;
using System.Collections.Generic;
using System.CommandLine.Parsing;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Hosting;
using Blanket.Lab.Instances;

namespace Blanket.Cli.Running;

/// <summary>A run in the background: this command starts itself again in a session of its own and waits until its guests are built.</summary>
internal static class DetachedRun
{
    private const int PollMilliseconds = 200;

    /// <summary>Starts it and tells its name.</summary>
    /// <exception cref="HostException">It ended before its guests were built; the message has the end of what it said.</exception>
    internal static async Task<int> StartAsync(IReadOnlyList<Token> tokens, Report report, CancellationToken cancellation)
    {
        HashSet<string> known = [.. Instance.FindAll().Select(instance => instance.Name)];
        string? name = tokens.SkipWhile(token => token.Value != "--name").Skip(1).FirstOrDefault()?.Value;
        string output = Path.Combine(Path.GetTempPath(), $"blanket-run-{Guid.NewGuid():N}.log");
        string[] arguments = [.. tokens.Select(token => token.Value).Where(token => token is not ("--detach" or "--headless")), "--headless"];
        string program = Path.Combine(AppContext.BaseDirectory, "blanket.dll");
        ProcessStartInfo start = new("setsid", ["sh", "-c", "exec \"$@\" < /dev/null > \"$0\" 2>&1", output, "dotnet", program, .. arguments]);
        using Process process = Process.Start(start) ?? throw new HostException("setsid cannot be started");
        while (true)
        {
            await Task.Delay(PollMilliseconds, cancellation).ConfigureAwait(false);
            foreach (Instance instance in Instance.FindAll().Where(instance => name is null ? !known.Contains(instance.Name) : instance.Name == name))
            {
                if (await IsBuiltAsync(instance, cancellation).ConfigureAwait(false))
                {
                    report.Line(instance.Name);
                    return ExitStatus.Success;
                }
            }

            if (process.HasExited)
            {
                throw new HostException($"the run ended at once; {output} says: {(await File.ReadAllTextAsync(output, cancellation).ConfigureAwait(false)).Trim()}");
            }
        }
    }

    /// <summary>Whether Blanket answers and has built its guests: what is typed before that reaches nobody.</summary>
    private static async Task<bool> IsBuiltAsync(Instance instance, CancellationToken cancellation)
    {
        if (!File.Exists(instance.ManagementSocket))
        {
            return false;
        }

        try
        {
            using ManagementClient client = await ManagementClient.ConnectAsync(instance, static () => { }, cancellation).ConfigureAwait(false);
            return !(await client.ListAsync(cancellation).ConfigureAwait(false)).Any(static guest => ManagementClient.IsComing(in guest));
        }
        catch (HostException)
        {
            return false;
        }
    }
}
