using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text.Json.Nodes;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Hosting;
using Blanket.Lab.Instances;

namespace Blanket.Boot.Tests;

/// <summary>A machine in the background, driven by the command as an operator drives it. Disposing ends it.</summary>
internal sealed class OperatorSession : IAsyncDisposable
{
    private const int PollMilliseconds = 250;
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(180);

    private readonly BootDirectory _directory;
    private readonly string _name;

    private OperatorSession(BootDirectory directory, string name)
    {
        _directory = directory;
        _name = name;
    }

    /// <summary>The instance that other commands find.</summary>
    internal Instance Instance => Instance.Find(_name);

    /// <summary>Starts a machine by <c>run --detach --stay</c>.</summary>
    internal static async Task<OperatorSession> StartAsync(BootDirectory directory, IEnumerable<string> arguments, int timeoutSeconds = BlanketCommand.DefaultTimeoutSeconds)
    {
        string name = string.Create(CultureInfo.InvariantCulture, $"test-{Environment.ProcessId}");
        OperatorSession session = new(directory, name);
        ToolResult result = await session.RunAsync(
        [
            "run", "--detach", "--stay", "--name", name, "--console-dir", directory.Root,
            "--timeout", timeoutSeconds.ToString(CultureInfo.InvariantCulture), .. arguments,
        ]);
        session.Require(result, 0, "run");
        Assert.Equal(name, result.Text.Trim().Split('\n')[^1]);
        return session;
    }

    /// <summary>Calls the command for the machine.</summary>
    /// <returns>What it wrote to standard output.</returns>
    internal async Task<string> CallAsync(params string[] arguments)
    {
        ToolResult result = await RunAsync([.. arguments, "--instance", _name]);
        Require(result, 0, string.Join(' ', arguments));
        return result.Text;
    }

    /// <summary>Calls the command, which has to fail.</summary>
    /// <param name="status">The exit status that it has to have.</param>
    /// <param name="message">What it has to say on standard error.</param>
    /// <param name="arguments">Its arguments.</param>
    /// <returns>What it wrote to standard output.</returns>
    internal async Task<string> CallRefusedAsync(int status, string message, params string[] arguments)
    {
        ToolResult result = await RunAsync([.. arguments, "--instance", _name]);
        Require(result, status, string.Join(' ', arguments));
        Assert.Contains(message, result.Error, StringComparison.Ordinal);
        return result.Text;
    }

    /// <summary>A guest in <c>list --json</c>; null when it is not there.</summary>
    internal async Task<JsonNode?> FindAsync(string guest) =>
        JsonNode.Parse(await CallAsync("list", "--json"))!["guests"]!.AsArray().FirstOrDefault(entry => entry!["name"]!.GetValue<string>() == guest);

    /// <summary>Looks at the list until it is as expected.</summary>
    internal Task AwaitAsync(string guest, string what, Func<JsonNode?, bool> condition) =>
        AwaitAsync(() => FindAsync(guest), condition, entry => $"{guest}: {what} did not come true; it is {entry?.ToJsonString() ?? "not there"}");

    /// <summary>Waits until a debug key shows something.</summary>
    internal Task AwaitKeysAsync(string keys, string expected) => AwaitAsync(
        () => CallAsync("debug-keys", keys),
        shown => shown.Contains(expected, StringComparison.Ordinal),
        shown => $"debug-keys {keys} did not show '{expected}': {shown}");

    /// <summary>Waits until a guest has a console.</summary>
    internal Task AwaitConsoleAsync(string guest) => AwaitAsync(
        () => Task.FromResult(File.Exists(Instance.ConsoleSocket(guest))), static isThere => isThere, _ => $"{guest} has no console");

    /// <summary>The counts of <c>audit --json</c>.</summary>
    internal async Task<AuditCounts> AuditAsync() => new(JsonNode.Parse(await CallAsync("audit", "--json"))!.AsObject());

    /// <summary>Types lines on a guest's console by <c>console</c> until a text comes out.</summary>
    /// <returns>What the console showed.</returns>
    internal async Task<string> TypeAsync(string guest, string line, string expected)
    {
        ProcessStartInfo start = new("dotnet", [Program, "console", guest, "--instance", _name]) { RedirectStandardInput = true, RedirectStandardOutput = true };
        using Process process = Process.Start(start)!;
        using CancellationTokenSource limit = new(s_patience);
        string seen = string.Empty;
        try
        {
            char[] buffer = new char[1024];
            await process.StandardInput.WriteAsync(line + "\n");
            await process.StandardInput.FlushAsync(limit.Token);
            while (!seen.Contains(expected, StringComparison.Ordinal))
            {
                int count = await process.StandardOutput.ReadAsync(buffer, limit.Token);
                Assert.True(count > 0, $"the console of {guest} ended without '{expected}': {seen}");
                seen += new string(buffer, 0, count);
            }

            return seen;
        }
        catch (OperationCanceledException)
        {
            throw new TimeoutException($"the console of {guest} did not say '{expected}': {seen} (logs: {_directory.Root})");
        }
        finally
        {
            process.Kill();
            await process.WaitForExitAsync(CancellationToken.None);
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (Instance.FindAll().Any(instance => instance.Name == _name))
        {
            await RunAsync(["shutdown", "--instance", _name]);
        }
    }

    private async Task AwaitAsync<T>(Func<Task<T>> look, Func<T, bool> condition, Func<T, string> otherwise)
    {
        Stopwatch watch = Stopwatch.StartNew();
        T seen = await look();
        while (!condition(seen))
        {
            Assert.True(watch.Elapsed < s_patience, $"{otherwise(seen)} (logs: {_directory.Root})");
            await Task.Delay(PollMilliseconds);
            seen = await look();
        }
    }

    private static string Program => Path.Combine(AppContext.BaseDirectory, "blanket.dll");

    private async Task<ToolResult> RunAsync(string[] arguments)
    {
        ToolResult result = await Tool.RunAsync("dotnet", [Program, .. arguments]);
        await File.AppendAllTextAsync(_directory.PathOf("commands.log"), $"$ {string.Join(' ', arguments)}\n{result.Text}{result.Error}[{result.ExitCode}]\n");
        return result;
    }

    private void Require(ToolResult result, int status, string what) =>
        Assert.True(result.ExitCode == status, $"{what}: exit status {result.ExitCode}, expected {status}: {result.Text}{result.Error} (logs: {_directory.Root})");
}
