using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Threading.Tasks;
using Blanket.Lab.Hosting;

namespace Blanket.Boot.Tests;

/// <summary>A finished call of the command <c>blanket</c>.</summary>
/// <param name="Directory">Where the logs are.</param>
/// <param name="Result">Exit status and output.</param>
internal sealed record BlanketCommand(BootDirectory Directory, ToolResult Result)
{
    /// <summary>Enough for any boot without hardware acceleration on a busy machine.</summary>
    internal const int DefaultTimeoutSeconds = 420;

    /// <summary>Runs guests without a terminal; their consoles and Blanket's log go to the directory.</summary>
    /// <param name="directory">Of the test.</param>
    /// <param name="arguments">Further arguments of <c>run</c>: guest configurations, options.</param>
    /// <param name="timeoutSeconds">When the run is ended.</param>
    internal static Task<BlanketCommand> RunAsync(BootDirectory directory, IEnumerable<string> arguments, int timeoutSeconds = DefaultTimeoutSeconds) =>
        CallAsync(directory, RunArguments(directory, arguments, timeoutSeconds));

    /// <summary>The same on one of this machine's CPUs only, so that not all CPUs of the virtual machine run at the same time.</summary>
    internal static Task<BlanketCommand> RunOnOneRealCpuAsync(BootDirectory directory, IEnumerable<string> arguments) =>
        CallAsync(directory, "taskset", ["-c", "0", "dotnet"], RunArguments(directory, arguments, DefaultTimeoutSeconds));

    /// <summary>Calls the command; keeps what it says in <c>command.log</c>.</summary>
    internal static Task<BlanketCommand> CallAsync(BootDirectory directory, IEnumerable<string> arguments) =>
        CallAsync(directory, "dotnet", [], arguments);

    private static IEnumerable<string> RunArguments(BootDirectory directory, IEnumerable<string> arguments, int timeoutSeconds) =>
        ["run", "--headless", "--console-dir", directory.Root, "--timeout", timeoutSeconds.ToString(CultureInfo.InvariantCulture), .. arguments];

    private static async Task<BlanketCommand> CallAsync(BootDirectory directory, string tool, IEnumerable<string> prefix, IEnumerable<string> arguments)
    {
        string program = Path.Combine(AppContext.BaseDirectory, "blanket.dll");
        ToolResult result = await Tool.RunAsync(tool, [.. prefix, program, .. arguments]);
        directory.Write("command.log", result.Text + result.Error);
        return new BlanketCommand(directory, result);
    }

    /// <summary>Fails, with the command's last line and Blanket's, when the exit status is another.</summary>
    internal void RequireStatus(int expected) =>
        Assert.True(
            Result.ExitCode == expected,
            $"exit status {Result.ExitCode}, expected {expected}: {LastLine(Result.Text + Result.Error)} (last in Blanket's log: {LastLine(TryReadLog("blanket"))}; logs: {Directory.Root})");

    /// <summary>Fails when a log has no line with a text.</summary>
    internal void RequireInLog(string log, string text) =>
        Assert.True(
            Directory.ReadLog(log).Contains(text, StringComparison.Ordinal),
            $"{log}.log has no '{text}', its last line is '{LastLine(Directory.ReadLog(log))}' (logs: {Directory.Root})");

    private static string LastLine(string text) =>
        text.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).LastOrDefault() ?? "nothing";

    private string TryReadLog(string name) =>
        File.Exists(Directory.PathOf(name + ".log")) ? Directory.ReadLog(name) : string.Empty;
}
