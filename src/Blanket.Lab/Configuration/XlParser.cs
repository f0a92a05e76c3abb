using System.Collections.Generic;

namespace Blanket.Lab.Configuration;

/// <summary>One <c>KEY = VALUE</c> or <c>KEY += VALUE</c>.</summary>
public sealed record XlAssignment(SourceLine Source, string Key, XlValue Value, bool IsAppend);

/// <summary>Reads the syntax of xl.cfg(5): assignments separated by line ends or semicolons.</summary>
public sealed class XlParser
{
    /// <summary>Nested lists deeper than this are refused; no key needs more than two.</summary>
    private const int MaximumDepth = 16;

    private readonly IReadOnlyList<XlToken> _tokens;
    private int _next;

    private XlParser(IReadOnlyList<XlToken> tokens) => _tokens = tokens;

    private XlToken Current => _tokens[_next];

    /// <summary>All assignments of a file in their order.</summary>
    /// <param name="file">Name for messages.</param>
    /// <param name="text">Content.</param>
    /// <exception cref="InputException">The text is not in xl.cfg(5) syntax.</exception>
    public static IReadOnlyList<XlAssignment> Parse(string file, string text)
    {
        XlParser parser = new(XlLexer.Tokenize(file, text));
        List<XlAssignment> assignments = [];
        while (parser.Current.Kind != XlTokenKind.EndOfFile)
        {
            if (!parser.SkipSeparator())
            {
                assignments.Add(parser.ReadAssignment());
                parser.RequireSeparator();
            }
        }

        return assignments;
    }

    private bool SkipSeparator()
    {
        if (Current.Kind is not (XlTokenKind.EndOfLine or XlTokenKind.EndOfStatement))
        {
            return false;
        }

        _next++;
        return true;
    }

    private void RequireSeparator()
    {
        if (Current.Kind != XlTokenKind.EndOfFile && !SkipSeparator())
        {
            throw Unexpected("the end of the line or ';'");
        }
    }

    private XlAssignment ReadAssignment()
    {
        XlToken key = Current;
        if (key.Kind != XlTokenKind.Identifier)
        {
            throw Unexpected("KEY = VALUE");
        }

        _next++;
        bool isAppend = Current.Kind == XlTokenKind.Append;
        if (!isAppend && Current.Kind != XlTokenKind.Assign)
        {
            throw Unexpected($"'=' or '+=' after '{key.Text}'");
        }

        _next++;
        return new XlAssignment(key.Source, key.Text, ReadValue(depth: 0), isAppend);
    }

    private XlValue ReadValue(int depth)
    {
        XlToken token = Current;
        _next++;
        switch (token.Kind)
        {
            case XlTokenKind.String:
                return new XlString(token.Source, token.Text);
            case XlTokenKind.Number:
                return new XlNumber(token.Source, token.Text);
            case XlTokenKind.Open when depth < MaximumDepth:
                return ReadList(token.Source, depth + 1);
            case XlTokenKind.Open:
                throw new InputException(token.Source, $"lists nested too deeply, expected at most {MaximumDepth} levels");
            default:
                _next--;
                throw Unexpected("a number, a \"string\" or a [list]");
        }
    }

    private XlList ReadList(SourceLine source, int depth)
    {
        List<XlValue> items = [];
        SkipLineEnds();
        while (Current.Kind != XlTokenKind.Close)
        {
            items.Add(ReadValue(depth));
            SkipLineEnds();
            if (Current.Kind == XlTokenKind.Comma)
            {
                _next++;
                SkipLineEnds();
            }
            else if (Current.Kind != XlTokenKind.Close)
            {
                throw Unexpected($"',' or ']' in the list that starts on line {source.Line}");
            }
        }

        _next++;
        return new XlList(source, items);
    }

    private void SkipLineEnds()
    {
        while (Current.Kind == XlTokenKind.EndOfLine)
        {
            _next++;
        }
    }

    private InputException Unexpected(string expected) =>
        new(Current.Source, $"unexpected {Current.Description}, expected {expected}");
}
