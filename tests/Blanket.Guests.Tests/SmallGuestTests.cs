using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.DefaultGuest;
using Blanket.Lab.Hosting;

namespace Blanket.Guests.Tests;

/// <summary>Debian's own kernel on Blanket, by the command that a user types.</summary>
public sealed class SmallGuestTests : IDisposable
{
    /// <summary>Generous: software emulation on a busy machine.</summary>
    private const int Seconds = 300;

    private readonly string _directory = Directory.CreateTempSubdirectory("blanket-guests-test-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    private string Consoles => Path.Combine(_directory, "out");

    private string Log(string name) => File.ReadAllText(Path.Combine(Consoles, name + ".log"));

    private Task<ToolResult> RunAsync(int seconds, params IEnumerable<string> arguments) =>
        Tool.RunAsync(
            "dotnet",
            [
                Path.Combine(AppContext.BaseDirectory, "blanket.dll"), "run", "--headless", "--console-dir", Consoles,
                "--timeout", seconds.ToString(CultureInfo.InvariantCulture), .. arguments,
            ]);

    private string Describe(ToolResult result) =>
        $"status {result.ExitCode}\n{result.Text}{result.Error}\n{string.Concat(Directory.EnumerateFiles(Consoles).Select(file => $"== {file}\n{File.ReadAllText(file)}"))}";

    /// <summary>Writes a configuration of the small guest under another name.</summary>
    private async Task<string> ConfigureAsync(string name, string commandLine)
    {
        SmallGuest guest = await SmallGuest.PrepareAsync(_ => { }, CancellationToken.None);
        string disk = Path.Combine(_directory, name + ".raw");
        using (FileStream stream = File.Create(disk))
        {
            stream.SetLength(64L << 20);
        }

        string path = Path.Combine(_directory, name + ".cfg");
        File.WriteAllText(path, $"""
            name = "{name}"
            memory = 192
            kernel = "{guest.Kernel}"
            ramdisk = "{guest.Ramdisk}"
            cmdline = "console=hvc0 panic=-1 {commandLine}"
            disk = [ "{disk},raw,xvda,rw" ]
            vif = [ "" ]
            """);
        return path;
    }

    private static void AssertPassed(string console)
    {
        Assert.Contains("selftest: disk ok", console, StringComparison.Ordinal);
        Assert.Matches("selftest: dhcp 10\\.0\\.2\\.[0-9]+", console);
        Assert.Contains("selftest: ping ok", console, StringComparison.Ordinal);
        Assert.Contains("selftest: passed", console, StringComparison.Ordinal);
    }

    [Fact]
    public async Task ChecksItselfAndPowersOff()
    {
        ToolResult result = await RunAsync(Seconds);
        Assert.True(result.ExitCode == 0, Describe(result));
        AssertPassed(Log("guest"));
        Assert.Contains("Linux version", Log("guest"), StringComparison.Ordinal);
        Assert.Contains("blanket: event all-guests-done", Log("blanket"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task TwoGuestsAtOnce()
    {
        ToolResult result = await RunAsync(Seconds, await ConfigureAsync("one", "blanket.selftest"), await ConfigureAsync("two", "blanket.selftest"));
        Assert.True(result.ExitCode == 0, Describe(result));
        AssertPassed(Log("one"));
        AssertPassed(Log("two"));
    }

    /// <summary>A kernel without a root panics; the guest beside it goes on.</summary>
    [Fact]
    public async Task CrashIsStatus3AndConcernsOneGuest()
    {
        ToolResult result = await RunAsync(Seconds, await ConfigureAsync("broken", "rdinit=/none root=/none"), await ConfigureAsync("sound", "blanket.selftest"));
        Assert.True(result.ExitCode == 3, Describe(result));
        Assert.Contains("error: crashed: broken", result.Error, StringComparison.Ordinal);
        Assert.Contains("Kernel panic", Log("broken"), StringComparison.Ordinal);
        AssertPassed(Log("sound"));
    }

    [Fact]
    public async Task TimeOutIsStatus5()
    {
        ToolResult result = await RunAsync(20, await ConfigureAsync("idle", "quiet"));
        Assert.True(result.ExitCode == 5, Describe(result));
        Assert.Contains("time-out", result.Error, StringComparison.Ordinal);
    }
}
