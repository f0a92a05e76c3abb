using System;
using System.Collections.Generic;
using System.Linq;
using Blanket.Lab.Configuration;
using FsCheck.Xunit;

namespace Blanket.Cli.Tests;

public class ConfigurationSyntaxTests
{
    [Fact]
    public void ReadsStringsNumbersAndLists()
    {
        IReadOnlyList<XlAssignment> assignments = XlParser.Parse("g.cfg", """
            # a comment
            name = "one"; vcpus = 2   # another
            memory = 0x100
            disk = [ 'a,raw,xvda,rw',
                     # in the list
                     "b,,xvdb" ,
                   ]
            """);
        Assert.Equal(["name", "vcpus", "memory", "disk"], assignments.Select(assignment => assignment.Key));
        Assert.Equal("one", Assert.IsType<XlString>(assignments[0].Value).Text);
        Assert.Equal("2", Assert.IsType<XlNumber>(assignments[1].Value).Text);
        XlList disks = Assert.IsType<XlList>(assignments[3].Value);
        Assert.Equal(["a,raw,xvda,rw", "b,,xvdb"], disks.Items.Cast<XlString>().Select(disk => disk.Text));
        Assert.Equal([4, 6], disks.Items.Select(disk => disk.Source.Line));
    }

    [Theory]
    [InlineData("""x = "a\"b\\c\td" """, "a\"b\\c\td")]
    [InlineData("""x = 'it\'s' """, "it's")]
    [InlineData("""x = "\x41\102" """, "AB")]
    [InlineData("""x = "#not a comment" """, "#not a comment")]
    [InlineData("""x = "" """, "")]
    public void ReadsStrings(string text, string expected) =>
        Assert.Equal(expected, Assert.IsType<XlString>(Assert.Single(XlParser.Parse("g.cfg", text)).Value).Text);

    [Theory]
    [InlineData("name", "g.cfg:1: unexpected the end of the file, expected '=' or '+=' after 'name'")]
    [InlineData("\nname = ", "g.cfg:2: unexpected the end of the file, expected a number, a \"string\" or a [list]")]
    [InlineData("name = \"abc\nx = 1", "g.cfg:1: this string does not end, expected \" before the end of the line")]
    [InlineData("a = 1\nb = {}", "g.cfg:2: unexpected character '{', expected KEY = VALUE, where a VALUE is a number, a \"string\" or a [list]")]
    [InlineData("a = [ 1\n 2 ]", "g.cfg:2: unexpected the number 2, expected ',' or ']' in the list that starts on line 1")]
    [InlineData("a = [ 1,\n\n", "g.cfg:3: unexpected the end of the file, expected a number, a \"string\" or a [list]")]
    [InlineData("a = 1 b = 2", "g.cfg:1: unexpected 'b', expected the end of the line or ';'")]
    [InlineData("= 2", "g.cfg:1: unexpected '=', expected KEY = VALUE")]
    [InlineData("a = \"\\q\"", "g.cfg:1: unknown escape \\q in a string, expected one of \\\\ \\' \\\" \\n \\t \\xHH \\OOO")]
    [InlineData("a = \"\\x4\"", "g.cfg:1: bad escape \\x in a string, expected two hexadecimal digits")]
    [InlineData("a = \"\\777\"", "g.cfg:1: octal escape out of range, expected at most \\377")]
    public void SaysWhatIsWrongAndWhere(string text, string message) =>
        Assert.Equal(message, Assert.Throws<InputException>(() => XlParser.Parse("g.cfg", text)).Message);

    [Fact]
    public void RefusesDeepNesting()
    {
        string text = "a = " + new string('[', 100_000);
        Assert.Contains("nested too deeply", Assert.Throws<InputException>(() => XlParser.Parse("g.cfg", text)).Message, StringComparison.Ordinal);
    }

    [Property]
    public void NeverFailsInAnyOtherWay(string? text)
    {
        try
        {
            XlParser.Parse("g.cfg", text ?? string.Empty);
        }
        catch (InputException)
        {
        }
    }

    [Property]
    public bool ReadsEveryQuotedString(string? text)
    {
        string content = new((text ?? string.Empty).Where(c => c >= ' ').ToArray());
        string quoted = content.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal);
        return ((XlString)XlParser.Parse("g.cfg", $"x = \"{quoted}\"").Single().Value).Text == content;
    }

    [Theory]
    [InlineData("0", 0)]
    [InlineData("010", 8)]
    [InlineData("0x1f", 31)]
    [InlineData("4096", 4096)]
    public void ReadsNumbersAsC(string text, long expected)
    {
        Assert.True(XlSettings.TryParseNumber(text, out long value));
        Assert.Equal(expected, value);
    }

    [Theory]
    [InlineData("")]
    [InlineData("08")]
    [InlineData("0x")]
    [InlineData("12k")]
    [InlineData("-1")]
    [InlineData("99999999999999999999")]
    [InlineData("07777777777777777777777777")]
    [InlineData("0xffffffffffffffff")]
    public void RefusesWhatIsNoNumber(string text) => Assert.False(XlSettings.TryParseNumber(text, out _));

    [Fact]
    public void AppendExtendsListsAndStrings()
    {
        XlSettings settings = new("g.cfg", XlParser.Parse("g.cfg", "a = [ 'x' ]\na += [ 'y' ]\nb = 'p'\nb += 'q'\nc += 'r'"));
        Assert.Equal(["x", "y"], settings.FindStrings("a").Select(item => item.Text));
        Assert.Equal("pq", settings.FindString("b"));
        Assert.Equal("r", settings.FindString("c"));
    }

    [Fact]
    public void AppendOfAnotherKindIsAnError()
    {
        InputException error = Assert.Throws<InputException>(() => new XlSettings("g.cfg", XlParser.Parse("g.cfg", "a = [ 'x' ]\na += 'y'")));
        Assert.StartsWith("g.cfg:2: a += a string, expected a list as on line 1", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void LaterValueReplacesEarlierWithWarning()
    {
        XlSettings settings = new("g.cfg", XlParser.Parse("g.cfg", "a = 1\na = 2"));
        Assert.Equal(2, settings.FindNumber("a", 0, 10));
        Assert.Equal("g.cfg:2: a was set on line 1 already; this value replaces that one", Assert.Single(settings.Warnings));
    }
}
