namespace Slimming.Demo;

/// <summary>One thing that is true in the made-up world: <paramref name="Person"/> has <paramref name="Value"/> as the attribute.</summary>
public sealed record Fact(string Person, int Attribute, string Value);

/// <summary>People who do not exist, where they live, what they do and which animal they keep.</summary>
public sealed class World
{
    private static readonly string[] Starts =
    [
        "Bel",
        "Dor",
        "Fen",
        "Gal",
        "Har",
        "Kel",
        "Lum",
        "Mor",
        "Nim",
        "Pol",
        "Ras",
        "Tam",
    ];
    private static readonly string[] Ends = ["an", "eth", "ic", "ora"];

    private static readonly string[][] ValueTable =
    [
        ["Arven", "Brask", "Colm", "Drift", "Elmar", "Fjord", "Gorse", "Hallow", "Iscar", "Jarrow", "Kestrel", "Lorn"],
        [
            "baker",
            "carpenter",
            "diver",
            "farmer",
            "glazier",
            "hunter",
            "mason",
            "nurse",
            "painter",
            "sailor",
            "tailor",
            "weaver",
        ],
        ["badger", "cat", "dog", "fox", "goat", "hawk", "horse", "lizard", "mouse", "newt", "rabbit", "snake"],
    ];

    /// <summary>Ways to ask for each attribute; {0} is the person.</summary>
    private static readonly string[][] QuestionTable =
    [
        [
            "Where does {0} live?",
            "In which town is {0} at home?",
            "What is the home town of {0}?",
            "Name the town of {0}.",
        ],
        [
            "What does {0} do for a living?",
            "What is the trade of {0}?",
            "Which work does {0} do?",
            "Name the trade of {0}.",
        ],
        [
            "Which animal does {0} keep?",
            "What animal lives with {0}?",
            "What is the animal of {0}?",
            "Name the animal of {0}.",
        ],
    ];

    private static readonly string[] ProseTable =
    [
        "{0} lives in {1} and works as a {2}. At home waits a {3}.",
        "In {1} everybody knows {0}, the {2} with the {3}.",
        "{0} keeps a {3}, works as a {2} and lives in {1}.",
        "The {2} {0} has a {3} and a house in {1}.",
    ];

    public World(ulong seed)
    {
        var draws = new Draws(seed);
        foreach (var start in Starts)
        {
            foreach (var end in Ends)
            {
                People.Add(start + end);
            }
        }
        foreach (var person in People)
        {
            for (var attribute = 0; attribute < ValueTable.Length; attribute++)
            {
                Facts.Add(new Fact(person, attribute, draws.Pick(ValueTable[attribute])));
                HeldOutQuestion.Add(draws.Below(QuestionTable[attribute].Length));
            }
            HeldOutProse.Add(draws.Below(ProseTable.Length));
        }
    }

    public List<string> People { get; } = [];

    /// <summary>Three per person, in the order of people and attributes.</summary>
    public List<Fact> Facts { get; } = [];

    /// <summary>Per fact, the way of asking that training never shows.</summary>
    private List<int> HeldOutQuestion { get; } = [];

    /// <summary>Per person, the sentence that training never shows.</summary>
    private List<int> HeldOutProse { get; } = [];

    public static IReadOnlyList<string> Values(int attribute) => ValueTable[attribute];

    public string TrainingQuestion(int fact, Draws draws)
    {
        var ways = QuestionTable[Facts[fact].Attribute];
        var way = (HeldOutQuestion[fact] + 1 + draws.Below(ways.Length - 1)) % ways.Length;
        return string.Format(ways[way], Facts[fact].Person);
    }

    public string EvaluationQuestion(int fact) =>
        string.Format(QuestionTable[Facts[fact].Attribute][HeldOutQuestion[fact]], Facts[fact].Person);

    public string TrainingProse(int person, Draws draws) =>
        Prose(person, (HeldOutProse[person] + 1 + draws.Below(ProseTable.Length - 1)) % ProseTable.Length);

    public string EvaluationProse(int person) => Prose(person, HeldOutProse[person]);

    private string Prose(int person, int way) =>
        string.Format(
            ProseTable[way],
            People[person],
            Facts[person * 3].Value,
            Facts[person * 3 + 1].Value,
            Facts[person * 3 + 2].Value
        );
}
