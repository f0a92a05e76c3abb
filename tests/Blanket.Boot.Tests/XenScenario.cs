using System;
using System.Globalization;
using System.Threading.Tasks;

namespace Blanket.Boot.Tests;

/// <summary>What is done to a machine on Xen, whatever runs in it.</summary>
internal static class XenScenario
{
    private const int RoundsBefore = 2;
    private const int RoundsAfter = 3;

    /// <summary>
    /// Dom0 saves and restores, or migrates, the machine while its guest (<c>verify.sh</c>) writes and verifies; the guest goes on for some rounds and
    /// takes a line from its console.
    /// </summary>
    internal static async Task MoveWhileVerifyingAsync(XenRun run, string act)
    {
        await run.WaitForAsync(Verified(run.LastNumber("verified") + RoundsBefore));
        await run.ActAsync(act);
        await GoesOnAsync(run, act);
    }

    /// <summary>The guest verifies some rounds more and hears what is typed.</summary>
    internal static async Task GoesOnAsync(XenRun run, string after)
    {
        await run.WaitForAsync(Verified(run.LastNumber("verified") + RoundsAfter));
        await run.TypeAsync($"after {after}");
        await run.WaitForAsync($"heard after {after}");
    }

    /// <summary>The guest powers off without having found an error.</summary>
    internal static async Task EndAsync(XenRun run)
    {
        await run.TypeAsync("end");
        await run.WaitForAsync("verified to the end");
        await run.RequireSuccessAsync();
    }

    /// <summary>The guest is asked, and says how that ended.</summary>
    internal static async Task RequireAsync(XenRun run, string words, string result)
    {
        await run.TypeAsync(words);
        string answer = await run.WaitForAsync(line => line.StartsWith(words + ": ", StringComparison.Ordinal), words);
        Assert.Equal($"{words}: {result}", answer);
    }

    /// <summary>L0 wants the machine to end: the guest is asked to shut down, and the machine ends when it has.</summary>
    internal static async Task EndByL0Async(XenRun run, BootDirectory directory, string act, int reason)
    {
        await run.ActAsync(act);
        await run.RequireSuccessAsync();
        Assert.Contains("event guest-poweroff name=verifying", directory.ReadLog("blanket"), StringComparison.Ordinal);
        Assert.Contains(string.Create(CultureInfo.InvariantCulture, $"reason code {reason}"), directory.ReadLog("xen"), StringComparison.Ordinal);
    }

    private static string Verified(int round) => string.Create(CultureInfo.InvariantCulture, $"verified {round}");
}
