using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using Blanket.Lab.Runs;
using FsCheck.Xunit;

namespace Blanket.Cli.Tests;

public class RunTests
{
    private static RunState After(params string[] lines)
    {
        RunState state = new();
        foreach (string line in lines)
        {
            if (RunEvent.TryParse("blanket: event " + line) is RunEvent happening)
            {
                state.Apply(happening);
            }
        }

        return state;
    }

    [Fact]
    public void ReadsEvents()
    {
        RunEvent? start = RunEvent.TryParse("blanket: event guest-start name=web domid=3");
        Assert.Equal(("guest-start", "web", "3"), (start!.Name, start["name"], start["domid"]));
        RunEvent? crash = RunEvent.TryParse("blanket: event guest-crash name=web reason=page fault at 0x10 rip=1");
        Assert.Equal(("web", "page fault at 0x10 rip=1"), (crash!["name"], crash["reason"]));
        Assert.Equal("index out of range", RunEvent.TryParse("blanket: event panic message=index out of range")!["message"]);
        Assert.Equal("it could not be started", RunEvent.TryParse("blanket: event guest-crash name=a reason=\"it could not be started\"")!["reason"]);
        Assert.Equal("\"", RunEvent.TryParse("blanket: event panic message=\"")!["message"]);
        Assert.Equal("all-guests-done", RunEvent.TryParse("blanket: event all-guests-done")!.Name);
        Assert.Equal(string.Empty, start["nothing"]);
    }

    [Theory]
    [InlineData("")]
    [InlineData("blanket: memory 256 MiB")]
    [InlineData(" blanket: event panic message=x")]
    [InlineData("guest says blanket: event panic message=x")]
    [InlineData("blanket: event ")]
    public void OtherLinesAreNoEvents(string line) => Assert.Null(RunEvent.TryParse(line));

    [Property]
    public bool AnyLineIsHarmless(string? line) => RunEvent.TryParse("blanket: event " + line) is null or { Name.Length: > 0 };

    [Fact]
    public void EveryGuestPoweredOffIsSuccess()
    {
        RunState state = After("guest-start name=a domid=1", "guest-start name=b domid=2", "guest-poweroff name=a");
        Assert.Equal(["b"], state.Running);
        Assert.False(state.IsOver);
        state.Apply(RunEvent.TryParse("blanket: event guest-poweroff name=b")!);
        state.Apply(RunEvent.TryParse("blanket: event all-guests-done")!);
        Assert.True(state.IsOver);
        state.MachineEnded();
        Assert.Equal((RunOutcome.Success, "every guest powered off"), (state.Outcome, state.Summary));
    }

    [Fact]
    public void RebootIsNoCrash()
    {
        RunState state = After("guest-start name=a domid=1", "guest-reboot name=a", "guest-start name=a domid=2", "guest-poweroff name=a", "all-guests-done");
        Assert.Equal(RunOutcome.Success, state.Outcome);
    }

    [Fact]
    public void CrashCountsEvenWhenTheGuestWasRestarted()
    {
        RunState state = After(
            "guest-start name=a domid=1", "guest-crash name=a reason=x", "guest-start name=a domid=2", "guest-poweroff name=a", "all-guests-done");
        Assert.Equal((RunOutcome.GuestCrashed, "crashed: a"), (state.Outcome, state.Summary));
    }

    [Fact]
    public void PanicCountsMost()
    {
        RunState state = After("guest-start name=a domid=1", "guest-crash name=a reason=x", "panic message=out of frames", "panic message=again");
        Assert.True(state.IsOver);
        state.TimeIsOver();
        state.MachineEnded();
        Assert.Equal((RunOutcome.BlanketPanicked, "Blanket panicked: out of frames"), (state.Outcome, state.Summary));
    }

    [Fact]
    public void EndOfTheMachineBeforeItsGuestsIsAPanic()
    {
        RunState state = After("guest-start name=a domid=1");
        state.MachineEnded();
        Assert.Equal((RunOutcome.BlanketPanicked, "the machine ended before its guests were done"), (state.Outcome, state.Summary));
        RunState mute = new();
        mute.MachineEnded();
        Assert.Equal(RunOutcome.BlanketPanicked, mute.Outcome);
    }

    [Fact]
    public void TimeOutSaysWhoWasLate()
    {
        RunState state = After("guest-start name=a domid=1", "guest-start name=b domid=2", "guest-crash name=a reason=x");
        state.TimeIsOver();
        state.MachineEnded();
        Assert.Equal((RunOutcome.TimedOut, "time-out; still running: b"), (state.Outcome, state.Summary));
        RunState mute = new();
        mute.TimeIsOver();
        Assert.Equal((RunOutcome.TimedOut, "time-out before a guest started"), (mute.Outcome, mute.Summary));
    }

    [Fact]
    public void TimeOutDuringPowerOffIsNone()
    {
        RunState state = After("guest-start name=a domid=1", "guest-poweroff name=a", "all-guests-done");
        state.TimeIsOver();
        Assert.Equal(RunOutcome.Success, state.Outcome);
    }

    /// <summary>Success is only what is announced as such: no crash, no panic, and the end of all guests.</summary>
    [Property]
    public bool SuccessNeedsTheEndOfAllGuests(byte[] happenings)
    {
        string[] lines = ["guest-start name=a domid=1", "guest-poweroff name=a", "guest-reboot name=a", "guest-crash name=a reason=x", "panic message=x", "all-guests-done", "other"];
        string[] told = [.. happenings.Select(value => lines[value % lines.Length])];
        RunState state = After(told);
        state.MachineEnded();
        bool isClean = told.Contains(lines[5]) && !told.Contains(lines[3]) && !told.Contains(lines[4]);
        return state.Outcome == RunOutcome.Success == isClean;
    }

    [Property]
    public bool LinesDoNotDependOnHowBytesArrive(string[] texts, byte size)
    {
        string[] lines = [.. texts.Select(text => new string((text ?? string.Empty).Where(c => c is >= ' ' and < (char)0x7F).Take(100).ToArray()))];
        byte[] bytes = Encoding.UTF8.GetBytes(string.Concat(lines.Select(line => line + "\r\n")));
        LineSplitter splitter = new();
        List<string> split = [];
        for (int i = 0; i < bytes.Length; i += (size % 7) + 1)
        {
            split.AddRange(splitter.Add(bytes.AsSpan(i, Math.Min((size % 7) + 1, bytes.Length - i))));
        }

        return split.SequenceEqual(lines) && splitter.Rest() is null;
    }

    [Fact]
    public void LinesAreBoundedAndPlain()
    {
        LineSplitter splitter = new();
        Assert.Equal(LineSplitter.MaximumLength, Assert.Single(splitter.Add(new byte[LineSplitter.MaximumLength + 10].Select(_ => (byte)'x').ToArray())).Length);
        Assert.Equal(new string('x', 10), splitter.Rest());
        Assert.Equal(["[31mred\tx"], splitter.Add("\u001b[31mred\tx\u0000\u0007\n"u8));
    }

    [Fact]
    public void LinuxAloneTellsItsEnd()
    {
        Assert.Equal(["guest-poweroff", "all-guests-done"], LinuxLog.Parse("g", "[    2.0] reboot: Power down").Select(happening => happening.Name));
        IReadOnlyList<RunEvent> panic = LinuxLog.Parse("g", "[    2.0] Kernel panic - not syncing: Attempted to kill init!");
        Assert.Equal(["guest-crash", "all-guests-done"], panic.Select(happening => happening.Name));
        Assert.Equal("Attempted to kill init!", panic[0]["reason"]);
        Assert.Empty(LinuxLog.Parse("g", "---[ end Kernel panic - not syncing: x ]---"));
        Assert.Empty(LinuxLog.Parse("g", "hello"));
    }
}
