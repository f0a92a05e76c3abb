using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading.Tasks;
using Blanket.Lab.Runs;
using Blanket.Lab.StockXen;

namespace Blanket.Boot.Tests;

/// <summary>
/// A run of hostile guests next to a good one: a Linux that writes to its disk and verifies (<c>verify.sh</c>) for as long as a hostile guest is
/// left, and then has to power off in order. Logs are written as by the command.
/// </summary>
internal sealed class HostileRun
{
    private const string GoodGuest = "good";

    private readonly BootDirectory _directory;
    private readonly GuestMachine _machine;
    private readonly int _hostile;
    private int _verified;

    private HostileRun(BootDirectory directory, int hostile, XenDomainType? xen)
    {
        _directory = directory;
        _hostile = hostile;
        _machine = new(directory) { OnEvent = Note, OnLine = CountRound, Xen = xen };
    }

    /// <summary>Runs the guests of some configurations, and the good one, to their end.</summary>
    /// <param name="directory">Of the test.</param>
    /// <param name="hostile">Paths of configurations.</param>
    /// <param name="xen">How Xen runs the machine; null for one without Xen underneath.</param>
    internal static async Task<HostileRun> RunAsync(BootDirectory directory, IReadOnlyList<string> hostile, XenDomainType? xen = null)
    {
        HostileRun run = new(directory, hostile.Count, xen);
        TestGuest guest = await TestGuest.CreateAsync();
        string good = guest.WriteWithInit(directory, GoodGuest, "verify.sh", TestGuest.Disks(directory.CreateDisk("disk.raw", 4)));
        RunOutcome outcome = await run._machine.RunAsync([good, .. hostile]);
        Assert.True(outcome is RunOutcome.Success or RunOutcome.GuestCrashed, $"the run ended as {outcome} (last in Blanket's log: {run._machine.LastLine("blanket")}; logs: {directory.Root})");
        run.RequireGoodGuest();
        return run;
    }

    /// <summary>Fails unless a guest powered off by itself.</summary>
    internal void RequirePoweroff(string name) => RequireEnd(name, RunEvent.GuestPoweroff);

    /// <summary>Fails unless a guest crashed.</summary>
    internal void RequireCrash(string name) => RequireEnd(name, RunEvent.GuestCrash);

    /// <summary>As <see cref="TestKernel.RequireChecks"/>.</summary>
    internal void RequireChecks(string name) => TestKernel.RequireChecks(_directory, name);

    private void RequireEnd(string name, string expected) =>
        Assert.True(
            _machine.Ends.TryGetValue(name, out string? end) && end == expected,
            $"{name}: {end ?? "no end"}, expected {expected}; its last line is '{_machine.LastLine(name)}' (logs: {_directory.Root})");

    private void RequireGoodGuest()
    {
        RequirePoweroff(GoodGuest);
        Assert.Contains("verified to the end", _directory.ReadLog(GoodGuest), StringComparison.Ordinal);
        Assert.True(_verified > 0, "the good guest verified nothing");
        Audit.RequireNothingLeft(_directory);
    }

    private void Note(RunEvent happening)
    {
        if (happening.Name is RunEvent.GuestPoweroff or RunEvent.GuestCrash && _machine.Ends.Count == _hostile && !_machine.Ends.ContainsKey(GoodGuest))
        {
            _machine.Type(GoodGuest, "end");
        }
    }

    private void CountRound(string guest, string line)
    {
        if (guest == GoodGuest && line.StartsWith("verified ", StringComparison.Ordinal))
        {
            _verified++;
        }
    }
}
