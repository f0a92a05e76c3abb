using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Cli.Running;

namespace Blanket.Cli.Tests;

public class TerminalTests
{
    [Fact]
    public void KeysGoToTheGuestExceptAfterEscape()
    {
        KeyInterpreter keys = new();
        Assert.Equal([new KeyCommand(KeyAction.Send, (byte)'a'), new KeyCommand(KeyAction.Send, 3)], keys.Interpret("a\u0003"u8));
        Assert.Equal([new KeyCommand(KeyAction.Switch, 2), new KeyCommand(KeyAction.Send, (byte)'x')], keys.Interpret("\u001d2x"u8));
        Assert.Equal([new KeyCommand(KeyAction.Send, 0x1D)], keys.Interpret("\u001d]"u8));
        Assert.Equal([new KeyCommand(KeyAction.Send, 0x1D)], keys.Interpret("\u001d\u001d"u8));
        Assert.Equal([new KeyCommand(KeyAction.Help)], keys.Interpret("\u001dz"u8));
        Assert.Equal([new KeyCommand(KeyAction.Next)], keys.Interpret("\u001dn"u8));
    }

    [Fact]
    public void EscapeIsRememberedBetweenReads()
    {
        KeyInterpreter keys = new();
        Assert.Empty(keys.Interpret("\u001d"u8));
        Assert.Equal([new KeyCommand(KeyAction.Leave)], keys.Interpret("q"u8));
    }

    [Fact]
    public void ScrollbackKeepsTheLastBytes()
    {
        Scrollback past = new();
        byte[] all = [.. Enumerable.Range(0, 100_000).Select(i => (byte)i)];
        for (int i = 0; i < all.Length; i += 1000)
        {
            past.Add(all.AsSpan(i, 1000));
        }

        byte[] kept = past.ToArray();
        Assert.InRange(kept.Length, Scrollback.Capacity - 1000, Scrollback.Capacity);
        Assert.Equal(all[^kept.Length..], kept);
        past.Add(all);
        Assert.Equal(all[^Scrollback.Capacity..], past.ToArray());
    }

    [Fact]
    public async Task ShowsTheConsoleThatTheUserChose()
    {
        MemoryStream screen = new();
        ConsoleSwitcher switcher = new(screen);
        ConsoleSwitcher.Entry log = switcher.Add("log");
        ConsoleSwitcher.Entry first = switcher.Add("one");
        ConsoleSwitcher.Entry second = switcher.Add("two");
        await log.WriteAsync("L"u8.ToArray());
        await first.WriteAsync("A"u8.ToArray());
        await second.WriteAsync("B"u8.ToArray());
        Assert.Equal("A", Encoding.ASCII.GetString(screen.ToArray()));
        await switcher.ReadKeysAsync(new MemoryStream("x\u001d2y\u001d9\u001d0"u8.ToArray()));
        Assert.Equal("A\r\n[console 2: two]\r\nB\r\n[there is no console 9]\r\n\r\n[console 0: log]\r\nL", Encoding.ASCII.GetString(screen.ToArray()));
        Assert.Equal((byte)'x', first.Keys.Reader.TryRead(out byte key) ? key : 0);
        Assert.Equal((byte)'y', second.Keys.Reader.TryRead(out key) ? key : 0);
        Assert.False(log.Keys.Reader.TryRead(out _));
        Assert.True(switcher.Left.IsCompleted);
    }

    [Fact]
    public async Task KeysReachTheMachineAndTheUserIsNeverBlocked()
    {
        MemoryStream machine = new();
        ConsoleSwitcher switcher = new(Stream.Null);
        ConsoleSwitcher.Entry entry = switcher.Add("g");
        await switcher.ReadKeysAsync(new MemoryStream(new byte[10_000]));
        using CancellationTokenSource end = new();
        Task sending = entry.SendKeysAsync(machine, end.Token);
        entry.Keys.Writer.Complete();
        await sending;
        Assert.InRange(machine.Length, 1, 10_000);
    }

    [Fact]
    public async Task HeadlessLinesCarryTheirConsole()
    {
        List<string> printed = [];
        PrefixSink sink = new("g", printed.Add);
        await sink.WriteAsync("one\r\ntw"u8.ToArray());
        await sink.WriteAsync("o\nrest"u8.ToArray());
        sink.Finish();
        Assert.Equal(["g| one", "g| two", "g| rest"], printed);
    }
}
